"""The files that tell of one picture's nuclei, written together as its blocks come."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from helpers.inference.blocks import Found
from helpers.inference.segmentation import Search
from helpers.inference.store import BlockStore
from helpers.pictures.picture import Picture
from helpers.saving.colours import UNTOLD
from helpers.saving.geojson import write_geojson
from helpers.saving.label_image import write_label_image, write_probability
from helpers.saving.nuclei_table import summarise, write_nuclei
from helpers.saving.overlay import Overlay, write_png
from helpers.saving.overview import Overview
from helpers.saving.overview_page import draw_overview

# What can be saved, and how its file's name ends.
ENDINGS = {
    "geojson": ".geojson",
    "csv": ".csv",
    "labels": ".labels.tif",
    "overlay": ".overlay.png",
    "overview": ".overview.png",
    "probability": ".probability.tif",
    "geojson.gz": ".geojson.gz",
}
USUAL = ("geojson", "csv", "labels", "overlay")


def paths_of(out: Path, name: str, save: Sequence[str]) -> dict[str, Path]:
    """Give what is saved of a picture, and where."""
    return {kind: out / f"{name}{ENDINGS[kind]}" for kind in save}


class Outputs:
    """Takes what was found, block after block; `open_outputs` opens and closes it."""

    def __init__(self, paths: dict[str, Path], picture: Picture, search: Search, stack: contextlib.ExitStack) -> None:
        self.paths, self.picture, self.search = paths, picture, search
        self.counts: Counter = Counter(dict.fromkeys(getattr(search.model.network, "kinds", ()), 0))
        size = (picture.height, picture.width)
        identity = f"{Path(picture.name).name} {size[0]} x {size[1]}"
        self._geojson = [
            stack.enter_context(write_geojson(path, identity)) for kind, path in paths.items() if "geojson" in kind
        ]
        self._table = stack.enter_context(write_nuclei(paths["csv"])) if "csv" in paths else None
        self._overlay = Overlay(picture) if "overlay" in paths else None
        self._overview = Overview(*size, search.um_per_px) if "overview" in paths else None

    def add(self, found: Found, before: int) -> None:
        """Take what was settled of a block that has so many nuclei before it."""
        nuclei, labels = found.nuclei.copy(), found.labels.copy()
        nuclei["id"] += before
        labels[labels > 0] += before
        for file in [*self._geojson, *([self._overlay] if self._overlay else [])]:
            file.add(labels, nuclei, *found.block.seen[:2])
        if self._table:
            self._table.add(nuclei)
        if self._overview:
            self._overview.add(nuclei)
        self.counts.update(nuclei["kind"].tolist())

    def finish(self, store: BlockStore) -> dict:
        """Write what needs all blocks; give the picture's size, scale and numbers."""
        picture, tissue, um_per_px = self.picture, self.search.tissue, self.search.um_per_px
        size = (picture.height, picture.width)
        if "labels" in self.paths:
            write_label_image(self.paths["labels"], store.read_labels, *size, um_per_px)
        if "probability" in self.paths:
            write_probability(self.paths["probability"], store.read_probability, *size, um_per_px)
        if self._overlay:
            self._overlay.save(self.paths["overlay"])
        if self._overview:
            write_png(self.paths["overview"], draw_overview(picture, self._overview))
        row = {"height": size[0], "width": size[1], "um_per_px": um_per_px, "tissue_mm2": tissue.mm2}
        for line in summarise(self.counts, tissue.mm2):
            kind = line["kind"] or UNTOLD
            row |= {f"{kind} nuclei": line["nuclei"], f"{kind} per_mm2": line["per_mm2"]}
        return row


@contextlib.contextmanager
def open_outputs(paths: dict[str, Path], picture: Picture, search: Search) -> Iterator[Outputs]:
    """Open the files of a picture, each written whole or not at all."""
    with contextlib.ExitStack() as stack:
        yield Outputs(paths, picture, search, stack)
