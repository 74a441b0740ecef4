"""What a prepared data set is, and how it is opened again."""

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.config import CLASS_NAMES
from helpers.errors import InputError, in_a_line, warn
from helpers.files import read_json, unreadable
from helpers.sources import Seen, source_name

DESCRIPTION = "cache.json"
# What is described tile by tile: the kind of the numbers, and what the shape of one tile's is.
DESCRIBED = {
    "tissues": ("U", ()),
    "groups": ("U", ()),
    "positions": ("i", (2,)),
    "pictures": ("U", ()),
    "extents": ("i", (2,)),
    "annotated": ("b", (2,)),
    "nuclei": ("i", (len(CLASS_NAMES),)),
    "nuclei_shares": ("f", ()),
    "void": ("b", ()),
    "fold_numbers": ("i", ()),
    "tile_digests": ("U", ()),
}
OPTIONAL = ("groups", "positions", "pictures", "extents")
UNGROUPED = "ungrouped-"  # with its number, the group of a tile of which no other is told


@dataclass(frozen=True)
class Cache:
    """A prepared data set of N tiles. The large arrays are memory-mapped."""

    name: str  # the data set's folder name
    digest: str  # SHA-256 over all full-size images and class maps, the same whatever dtype stores them
    image_size: int  # height and width of the prepared tiles in pixels
    labels: str  # how labels were shrunk, "nearest" or "majority"
    images: np.ndarray  # (N, image_size, image_size, 3) uint8, RGB
    class_maps: np.ndarray  # (N, image_size, image_size) uint8, 0 for background, 1 + channel for a nucleus
    instances: np.ndarray  # (N, image_size, image_size) uint16, 0 for background, nuclei numbered within their picture
    kinds: tuple[str, ...]  # what the five class channels mean
    annotated: np.ndarray  # (N, 2) bool, are the kinds of a tile's nuclei known, are its nuclei told apart
    tissues: np.ndarray  # (N,) str
    groups: np.ndarray | None  # (N,) str, the source image of each tile, or None where none is known
    grouped: np.ndarray  # (N,) bool, whether it is known; a tile without one is a group of its own
    positions: np.ndarray | None  # (N, 2) int64, row and column of the tile in its source image, -1 or None if unknown
    nuclei: np.ndarray  # (N, 5) int64, nuclei of each class in the full-size tile
    nuclei_shares: np.ndarray  # (N,) float64, share of the prepared tile's pixels that nuclei take
    void: np.ndarray  # (N,) bool, all six mask channels zero
    fold_numbers: np.ndarray  # (N,) int64, which fold of the data set a tile is from, counted from 0
    fold_files: list[str]  # where each fold's images stand in the data set
    official: list[int] | None  # PanNuke's own number of each fold, or None where the data set is not its three folds
    tile_digests: np.ndarray  # (N,) str, one for each full-size image, to know a tile again in another data set
    pictures: np.ndarray | None = None  # (N,) str, the source image of each tile where a group holds several, or None
    extents: np.ndarray | None = None  # (N, 2) int64, rows and columns of each tile that are no padding; None: all

    def __len__(self) -> int:
        return len(self.images)

    @property
    def known_kinds(self) -> tuple[str, ...]:
        """The kinds of which there are nuclei in tiles whose kinds are known, in the order of the channels.

        Channels of one name are one kind.
        """
        there = self.nuclei[self.annotated[:, 0]].sum(0)
        return tuple(dict.fromkeys(kind for kind, count in zip(self.kinds, there.tolist(), strict=True) if count))

    def find_seen(self, indices: np.ndarray, seen: Seen) -> tuple[np.ndarray, str]:
        """Tell which tiles weights were trained on: by the pixels of a tile, or by the name of its source.

        By its pixels a tile of one colour is never known: glass looks alike in every data set, and to have seen it
        before means nothing.

        Returns:
            `(n,)` bool, and which of the two spoke of how many, in words for a message.
        """
        by_pixels = np.isin(self.tile_digests[indices], seen.training_tiles)
        by_pixels[by_pixels] = ~self.of_one_colour(indices[by_pixels])
        groups = [] if self.groups is None else self.groups[indices].tolist()
        if seen.training_sources is None and any(map(source_name, groups)):
            warn(
                f"{self.name}: the weights tell which tiles they were trained on, but not the names of their sources: "
                "tiles that were decoded or cut otherwise are not known again"
            )
        by_name = np.array(seen.knows(groups), bool) if groups else np.zeros(len(indices), bool)
        names = sorted({source_name(group) for group, known in zip(groups, by_name, strict=False) if known})
        named = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        spoke = f"{by_pixels.sum()} by their pixels, {by_name.sum()} by the names of their sources"
        return by_pixels | by_name, f"{spoke}: {named}" if names else spoke

    def of_one_colour(self, indices: np.ndarray) -> np.ndarray:
        """Tell `(n,)` bool which of these tiles show one colour alone, as glass does."""
        return np.array([(self.images[index] == self.images[index][0, 0]).all() for index in indices], bool)

    def first_copies(self) -> np.ndarray:
        """Give `(N,)` int64, for each tile the number of the first with the same image: its own, if it repeats none.

        Before those of which no source image is known go those of which it is. A tile of one colour repeats none.
        """
        order = np.argsort(~self.grouped, kind="stable")
        _, first, inverse = np.unique(self.tile_digests[order], return_index=True, return_inverse=True)
        first = order[first[inverse][np.argsort(order)]]
        repeats = np.flatnonzero(first != np.arange(len(self)))
        glass = repeats[self.of_one_colour(repeats)]
        first[glass] = glass
        return first

    def describe_copies(self, tiles: np.ndarray, copies_of: np.ndarray) -> str:
        """Say where tiles `(n,)` stand and where those `(n,)` that they repeat, counted by file.

        Such as "5 of Images/images.npy also in Fold 1/images/fold1/images.npy (tile 0 as tile 0)".
        """
        starts = np.searchsorted(self.fold_numbers, np.arange(len(self.fold_files)))
        places = self.fold_numbers[np.stack([tiles, copies_of], axis=1)]
        found = []
        for here, there in np.unique(places, axis=0).tolist():
            among = np.flatnonzero((places == (here, there)).all(1))
            one, other = tiles[among[0]] - starts[here], copies_of[among[0]] - starts[there]
            first, second = self.fold_files[here], self.fold_files[there]
            found.append(f"{len(among)} of {first} also in {second} (tile {one} as tile {other})")
        return "; ".join(found)


class MappedFile(NamedTuple):
    """Where a memory-mapped array stands: what travels to another process in place of its values."""

    path: str
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int

    def open(self) -> np.memmap:
        """Map it again; an InputError where the file is gone."""
        try:
            return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        except OSError as error:
            raise unreadable(Path(self.path), error) from None


def is_mapped(values: object) -> bool:
    """Tell whether values are all of a memory-mapped file, and no part or copy of one."""
    return isinstance(values, np.memmap) and isinstance(values.base, mmap.mmap)


def key_of(folder: Path) -> object:
    """Give what a cache says it was made from, or None where it does not say; an InputError if it cannot be read."""
    described = read_json(folder / DESCRIPTION)
    return described.get("key") if isinstance(described, dict) else None


def open_cache(folder: Path, dataset: Path) -> Cache:
    """Open the cache that `prepare` wrote for a data set; an InputError where it is damaged."""
    described = read_json(folder / DESCRIPTION)
    try:
        key = described.pop("key")
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        class_maps = np.load(folder / "class_maps.npy", mmap_mode="r", allow_pickle=False)
        instances = np.load(folder / "instances.npy", mmap_mode="r", allow_pickle=False)
        shape = (len(images), key["image_size"], key["image_size"])
        for name, values, expected, dtype in (
            ("images", images, (*shape, 3), np.uint8),
            ("class_maps", class_maps, shape, np.uint8),
            ("instances", instances, shape, np.uint16),
        ):
            if values.shape != expected or values.dtype != dtype:
                raise ValueError(f"{name}: expected {expected} {dtype.__name__}, found {values.shape} {values.dtype}")
        for name, (kind, one) in DESCRIBED.items():
            if described[name] is not None or name not in OPTIONAL:
                described[name] = np.array(described[name])
                if described[name].shape != (len(images), *one) or described[name].dtype.kind != kind:
                    raise ValueError(f"{name}: expected one for each of {len(images)} tiles, found others")
        described["grouped"] = np.zeros(len(images), bool)
        own = [f"{UNGROUPED}{tile}" for tile in range(len(images))]
        if described["groups"] is not None:
            described["grouped"] = described["groups"] != ""
        for name in ("groups", "pictures"):
            if described[name] is not None:
                described[name] = np.where(described[name] != "", described[name], own)
        files = [path for path, *_ in key["source"] if path.lower().endswith("images.npy")]
        fixed = {
            "name": dataset.resolve().name,
            "fold_files": files,
            "image_size": key["image_size"],
            "labels": key["labels"],
        }
        described["kinds"] = tuple(map(str, described["kinds"]))
        if len(described["kinds"]) != len(CLASS_NAMES):
            raise ValueError(f"kinds: expected {len(CLASS_NAMES)}, found {len(described['kinds'])}")
        return Cache(images=images, class_maps=class_maps, instances=instances, **fixed, **described)
    except Exception as error:  # what somebody else wrote there fails in a dozen ways
        raise InputError(
            f"{folder}: the cache is damaged ({in_a_line(error)}); delete this folder and prepare again"
        ) from None
