"""What a prepared data set is, and how it is opened again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.config import CLASS_NAMES
from helpers.errors import InputError, in_a_line
from helpers.files import read_json

DESCRIPTION = "cache.json"
# What is described tile by tile: the kind of the numbers, and what the shape of one tile's is.
DESCRIBED = {
    "tissues": ("U", ()),
    "groups": ("U", ()),
    "positions": ("i", (2,)),
    "pictures": ("U", ()),
    "extents": ("i", (2,)),
    "nuclei": ("i", (len(CLASS_NAMES),)),
    "void": ("b", ()),
    "fold_numbers": ("i", ()),
    "tile_digests": ("U", ()),
}
OPTIONAL = ("groups", "positions", "pictures", "extents")


@dataclass(frozen=True)
class Cache:
    """A prepared data set of N tiles. The large arrays are memory-mapped."""

    name: str  # the data set's folder name
    digest: str  # SHA-256 over all full-size images and class maps, the same whatever dtype stores them
    image_size: int  # height and width of the prepared tiles in pixels
    labels: str  # how labels were shrunk, "nearest" or "majority"
    images: np.ndarray  # (N, image_size, image_size, 3) uint8, RGB
    class_maps: np.ndarray  # (N, image_size, image_size) uint8, 0 for background, 1 + channel for a nucleus
    tissues: np.ndarray  # (N,) str
    groups: np.ndarray | None  # (N,) str, the source image of each tile, or None where it is not known
    positions: np.ndarray | None  # (N, 2) int64, row and column of the tile in its source image, or None
    nuclei: np.ndarray  # (N, 5) int64, nuclei of each class in the full-size tile
    void: np.ndarray  # (N,) bool, all six mask channels zero
    fold_numbers: np.ndarray  # (N,) int64, which fold of the data set a tile is from, counted from 0
    official: list[int] | None  # PanNuke's own number of each fold, or None where the data set is not its three folds
    tile_digests: np.ndarray  # (N,) str, one for each full-size image, to know a tile again in another data set
    pictures: np.ndarray | None = None  # (N,) str, the source image of each tile where a group holds several, or None
    extents: np.ndarray | None = None  # (N, 2) int64, rows and columns of each tile that are no padding; None: all

    def __len__(self) -> int:
        return len(self.images)

    def find_seen(self, indices: np.ndarray, digests: Sequence[str]) -> np.ndarray:
        """Tell `(n,)` bool which of these tiles are among those with the given digests.

        A tile of one colour never is: glass looks alike in every data set, and to have seen it before means nothing.
        """
        seen = np.isin(self.tile_digests[indices], digests)
        seen[seen] = [(self.images[index] != self.images[index][0, 0]).any() for index in indices[seen]]
        return seen


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
        shape = (len(images), key["image_size"], key["image_size"])
        for name, values, expected in (("images", images, (*shape, 3)), ("class_maps", class_maps, shape)):
            if values.shape != expected or values.dtype != np.uint8:
                raise ValueError(f"{name}: expected {expected} uint8, found {values.shape} {values.dtype}")
        for name, (kind, one) in DESCRIBED.items():
            if name in OPTIONAL:  # an older cache knows fewer of these
                described.setdefault(name, described["groups"] if name == "pictures" else None)
            if described[name] is not None or name not in OPTIONAL:
                described[name] = np.array(described[name])
                if described[name].shape != (len(images), *one) or described[name].dtype.kind != kind:
                    raise ValueError(f"{name}: expected one for each of {len(images)} tiles, found others")
        fixed = {"name": dataset.resolve().name, "image_size": key["image_size"], "labels": key["labels"]}
        return Cache(images=images, class_maps=class_maps, **fixed, **described)
    except Exception as error:  # what somebody else wrote there fails in a dozen ways
        raise InputError(
            f"{folder}: the cache is damaged ({in_a_line(error)}); delete this folder and prepare again"
        ) from None
