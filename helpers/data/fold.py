"""What is read: a fold of tiles, instance masks and tissue names in PanNuke's format, wherever its files stand.

PanNuke (Gamper et al. 2020, arXiv:2003.10778) ships each fold as three arrays; `Dataset/README.md` shows the trees.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.config import BACKGROUND_CHANNEL, CLASS_NAMES, TILE_SIZE
from helpers.data.arrays import ArrayFile, load_known, load_labels, load_positions
from helpers.data.masks import NUM_CLASSES, class_maps_from_masks, count_instances, number_instances
from helpers.errors import InputError
from helpers.files import unreadable
from helpers.paths import as_path

FOLD_NAME = re.compile(r"(?:fold|part)[ _-]?(\d)", re.IGNORECASE)
DEEPEST = 5  # folders below the data set: PanNuke/archive/Fold 1/images/fold1
BESIDE = ("types", "groups", "positions", "pictures", "extents", "annotated", "kinds")  # the images; none must be there
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
UNKNOWN = "unknown"  # the tissue of a fold without types


@dataclass(frozen=True)
class Tiles:
    """Some tiles at full size, checked."""

    images: np.ndarray  # (n, 256, 256, 3) uint8, RGB
    class_maps: np.ndarray  # (n, 256, 256) uint8; 0 is background, 1 + channel a nucleus of that class
    instances: np.ndarray  # (n, 256, 256) int64; 0 is background, one number a nucleus, the same in all its picture
    nuclei: np.ndarray  # (n, 5) int64, number of nuclei of each class
    void: np.ndarray  # (n,) bool, all six mask channels zero: perhaps never annotated


@dataclass(frozen=True)
class Fold:
    """One fold: where its arrays are and what stands beside them."""

    name: str
    images: ArrayFile
    masks: ArrayFile
    tissues: np.ndarray  # (N,) str
    groups: np.ndarray | None  # (N,) str, the source image of each tile, where it is known
    positions: np.ndarray | None  # (N, 2) int64, row and column of each tile in its source image
    pictures: np.ndarray | None  # (N,) str, the source image where a group holds several; else the groups
    extents: np.ndarray  # (N, 2) int64, how many rows and columns of each tile are its source's, and no padding
    annotated: np.ndarray  # (N, 2) bool, are the kinds of a tile's nuclei known, are its nuclei told apart
    kinds: tuple[str, ...]  # what the five class channels mean

    @classmethod
    def open(cls, images_path: Path, masks_path: Path, name: str) -> "Fold":
        """Check shapes and lengths of a fold's files without reading their values; an InputError if they do not fit."""
        images, masks = ArrayFile.open(images_path), ArrayFile.open(masks_path)
        _check_shape(images, 3)
        _check_shape(masks, NUM_CLASSES + 1)
        if len(images) != len(masks):
            raise InputError(
                f"{images_path} holds {len(images)} tiles and {masks_path} holds {len(masks)}: expected as many masks "
                "as images, of one fold"
            )
        if len(images) == 0:
            raise InputError(f"{images_path}: expected tiles, found none")
        beside = {name: in_any_case(images_path.with_name(f"{name}.npy")) for name in BESIDE}
        types, groups, positions, pictures, extents, annotated, kinds = beside.values()
        known = load_labels(groups, len(images), "source images") if groups.exists() else None
        return cls(
            name, images, masks,
            load_labels(types, len(images), "tissue names") if types.exists() else np.full(len(images), UNKNOWN), known,
            load_positions(positions, len(images)) if positions.exists() else None,
            load_labels(pictures, len(images), "source images") if pictures.exists() else known,
            load_positions(extents, len(images), 1, TILE_SIZE) if extents.exists()
            else np.full((len(images), 2), TILE_SIZE),
            load_known(annotated, len(images)) if annotated.exists()
            else np.tile([True, masks.dtype != bool], (len(images), 1)),  # truth values cannot tell nuclei apart
            tuple(load_labels(kinds, NUM_CLASSES, "names of kinds of nuclei", "class channel").tolist())
            if kinds.exists() else CLASS_NAMES,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.images)

    @property
    def files(self) -> list[Path]:
        """Every file that the fold is read from."""
        beside = [in_any_case(self.images.path.with_name(f"{name}.npy")) for name in BESIDE]
        return [self.images.path, self.masks.path, *(path for path in beside if path.exists())]

    def read(self, start: int, stop: int) -> Tiles:
        """Read and check tiles `start` to `stop`.

        Raises:
            InputError: values that no fold can hold, with the number of the first such tile.
        """
        images, masks = self.images.read(start, stop), self.masks.read(start, stop)
        if not 0 <= images.min() <= images.max() <= 255:  # not so either where one of them is no number
            _check_values(self.images.path, start, images, images > 255, "values from 0 to 255")
        with np.errstate(invalid="ignore"):
            instances = masks.astype(np.int32)  # from here on half the bytes, and no floats
        if not (instances.min() >= 0 and instances[..., BACKGROUND_CHANNEL].max() <= 1 and (instances == masks).all()):
            instances, path, background = masks, self.masks.path, masks[..., BACKGROUND_CHANNEL]
            _check_values(path, start, masks, masks != np.floor(masks), "whole instance numbers")
            expected = f"0 or 1 in channel {BACKGROUND_CHANNEL}, the background, after the {NUM_CLASSES} classes"
            _check_values(path, start, background, background > 1, expected)
        nuclei = [[count_instances(mask[..., channel]) for channel in range(NUM_CLASSES)] for mask in instances]
        class_maps, void = class_maps_from_masks(instances), ~instances.any((1, 2, 3))
        numbers = number_instances(instances, class_maps)
        return Tiles(np.rint(images).astype(np.uint8), class_maps, numbers, np.array(nuclei), void)


def find_folds(dataset: Path) -> list[Fold]:
    """Find the folds of a data set, in the report's layout or in PanNuke's own, ordered by name.

    Args:
        dataset: `Dataset` with `Images/images.npy` and `Masks/masks.npy`; or a folder with `Fold 1/images/fold1/...`
            in it, or one such fold.

    Raises:
        InputError: nothing is found, a part is missing, or a file does not fit.
    """
    dataset = as_path(dataset)
    if not os.path.isdir(dataset):  # unlike Path.is_dir, False where a folder above it may not be searched
        found = "a file" if os.path.exists(dataset) else "nothing"
        raise InputError(
            f"{dataset}: expected a folder with a data set, found {found}; Dataset/README.md shows the expected tree"
        )
    images_paths = sorted(_images_files(dataset))
    if not images_paths:
        raise InputError(f"{dataset}: no images.npy was found{_remedy(dataset)}")
    return [Fold.open(path, _masks_beside(path), _fold_name(dataset, path)) for path in images_paths]


def _remedy(folder: Path) -> str:
    """Say what else a folder without images.npy seems to be, and what to do."""
    there = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if (folder / "results.json").exists():
        return ", but the results of a model; name the data set after it"
    if pictures := [path for path in there if path.suffix.lower() in PICTURES]:
        return (
            f", but pictures such as {pictures[0].name}; make a fold of them and their masks with "
            "`python -m helpers convert IMAGES MASKS OUT --kind pairs`"
        )
    found = ", ".join(sorted(path.name for path in there)[:5]) or "nothing"
    return f" in it or {DEEPEST} folders deep, but {found}; Dataset/README.md shows the expected tree"


def official_numbers(folds: list[Fold]) -> list[int] | None:
    """Give the official numbers 1-3 of three folds from their names, or None where they are not PanNuke's three."""
    matches = [FOLD_NAME.search(fold.name) for fold in folds]
    numbers = [int(match.group(1)) for match in matches if match]
    if len(numbers) == len(folds) and sorted(numbers) in ([0, 1, 2], [1, 2, 3]):
        return [number + 1 for number in numbers] if 0 in numbers else numbers  # some copies count from zero
    return None


def _images_files(dataset: Path) -> Iterator[Path]:
    """Find every images.npy, in letters of any case: Images/images.npy is one level down, that of a copy up to five."""

    def refuse(error: OSError) -> None:
        raise unreadable(error.filename, error)

    for folder, subfolders, files in os.walk(dataset, onerror=refuse, followlinks=True):
        deepest = len(Path(folder).relative_to(dataset).parts) == DEEPEST
        # The cache stands in a hidden folder of the data set and has an images.npy of its own.
        subfolders[:] = [] if deepest else [name for name in subfolders if not name.startswith(".")]
        yield from (Path(folder) / name for name in files if name.lower() == "images.npy")


def _fold_name(dataset: Path, images_path: Path) -> str:
    """Give the folder that names the fold: the one above `images/` or below it, else the data set's own name."""
    parts = [dataset.resolve().name, *images_path.relative_to(dataset).parts[:-1]]
    return next((part for part in reversed(parts) if FOLD_NAME.search(part)), parts[0])


def _masks_beside(images_path: Path) -> Path:
    """Give the path of the masks of an images.npy: beside it, or the same path with `images` replaced by `masks`."""
    beside = in_any_case(images_path.with_name("masks.npy"))
    if os.path.exists(beside):
        return beside
    parts = images_path.parts
    for position in range(len(parts) - 2, -1, -1):
        if parts[position].lower() == "images":
            masks = in_any_case(Path(*parts[:position], "Masks" if parts[position][0] == "I" else "masks"))
            for part in (*parts[position + 1 : -1], "masks.npy"):
                masks = in_any_case(masks / part)
            return masks
    return beside


def in_any_case(path: Path) -> Path:
    """Give a path, or the one beside it whose name differs from it in small and capital letters alone."""
    if path.exists() or not path.parent.is_dir():
        return path
    return next((other for other in path.parent.iterdir() if other.name.lower() == path.name.lower()), path)


def _check_shape(array: ArrayFile, channels: int) -> None:
    expected = (TILE_SIZE, TILE_SIZE, channels)
    if len(array.shape) != 4 or array.shape[1:] != expected:
        hint = ""
        if array.shape[1:] == (channels, TILE_SIZE, TILE_SIZE):
            hint = "; the channels stand first: move them last with numpy.moveaxis(array, 1, -1)"
        raise InputError(
            f"{array.path}: expected shape (N, {TILE_SIZE}, {TILE_SIZE}, {channels}), found {array.shape}{hint}"
        )


def _check_values(path: Path, start: int, values: np.ndarray, wrong: np.ndarray, expected: str) -> None:
    """Refuse not-a-number, infinite and negative values, and those marked `wrong`."""
    wrong = wrong | ~(values >= 0) | np.isinf(values)  # written so that NaN, which compares as false, is caught
    if wrong.any():
        tile = np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))[0]
        raise InputError(f"{path}: expected {expected}, found {values[wrong][0]} in tile {start + tile}")
