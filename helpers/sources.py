"""What weights have learnt from, and the two ways to know it again: the pixels of tiles, and the names of sources.

Another decoding, cut or brightness changes every pixel digest of an image, but not the name that it was published by.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Patients of The Cancer Genome Atlas: two parts after "TCGA" name one, what follows a slide of theirs.
PATIENT = re.compile(r"TCGA[-_.]([0-9A-Z]{2})[-_.]([0-9A-Z]{4})(?![0-9A-Z])", re.IGNORECASE)
CONSEP = re.compile(r"consep[-_. ]?(train|test)[-_. ]?(\d+)", re.IGNORECASE)


def source_name(group: str) -> str | None:
    """Give what the source of a group goes by in every copy of a published set; None for a group of no such set.

    MoNuSeg's images and others of The Cancer Genome Atlas are known by their patient, CoNSeP's by their image; NuInsSeg
    is known as a whole, for its copies name their groups differently. Names of anybody else's slides may mean another
    slide elsewhere, and are nobody's business.

    >>> source_name("TCGA-18-5592-01Z-00-DX1"), source_name("consep-train_3"), source_name("nuinsseg-human bladder")
    ('TCGA-18-5592', 'consep-train_3', 'nuinsseg')
    >>> source_name("slide 3")
    """
    if patient := PATIENT.search(group):
        return f"TCGA-{patient[1]}-{patient[2]}".upper()
    if image := CONSEP.search(group):
        return f"consep-{image[1].lower()}_{int(image[2])}"
    return "nuinsseg" if "nuinsseg" in group.lower() else None


@dataclass(frozen=True)
class Seen:
    """What weights have learnt from. It travels with them, under these names, in checkpoints and exported files.

    Attributes:
        training_tiles: digests of the tiles they were trained on, as in `cache.Cache.tile_digests`.
        training_sources: names of the published sources they were trained on, as from `source_name`; None where that is
            not known, as of weights made before names travelled.
        validation_groups: groups of published sources, by their full names, that chose the epoch and were not trained
            on. Of NuInsSeg, one source, some groups train and others validate.
    """

    training_tiles: tuple[str, ...] = ()
    training_sources: tuple[str, ...] | None = ()
    validation_groups: tuple[str, ...] = ()

    @classmethod
    def read(cls, about: Mapping[str, object]) -> "Seen":
        """Read what travels with weights; a KeyError or TypeError where it is damaged."""
        tiles = tuple(about["training_tiles"])
        sources = about.get("training_sources", None if tiles else ())
        return cls(tiles, None if sources is None else tuple(sources), tuple(about.get("validation_groups", ())))

    def and_then(self, tiles: Iterable[str], training: Iterable[str], validation: Iterable[str]) -> "Seen":
        """Add a training that started from these weights: digests of its tiles, its groups, its validation groups."""
        names = {source_name(group) for group in training} - {None}
        return Seen(
            tuple(sorted({*tiles, *self.training_tiles})),
            None if self.training_sources is None else tuple(sorted(names.union(self.training_sources))),
            tuple(sorted(filter(source_name, set(validation)))),
        )

    def knows(self, groups: Iterable[str]) -> list[bool]:
        """Tell for each group whether its source was trained on; not so of groups that validated."""
        names = set(self.training_sources or ())
        return [source_name(group) in names and group not in self.validation_groups for group in groups]
