"""Hand-made folds of a few tiles, in the layouts that `data.fold` reads. A tile takes 1 MB, as float64 4.7 MB."""

from pathlib import Path

import numpy as np

CLASSES = 5
BACKGROUND = 5


def example_images(count: int, seed: int = 0) -> np.ndarray:
    """Give `(count, 256, 256, 3)` uint8 noise, different in every tile."""
    return np.random.default_rng(seed).integers(0, 256, (count, 256, 256, 3), np.uint8)


def empty_masks(count: int) -> np.ndarray:
    """Give `(count, 256, 256, 6)` uint16 masks without a nucleus: the background is 1 everywhere."""
    masks = np.zeros((count, 256, 256, 6), np.uint16)
    masks[..., BACKGROUND] = 1
    return masks


def add_nucleus(masks: np.ndarray, tile: int, channel: int, number: int, rows: slice, columns: slice) -> None:
    """Lay a rectangle with an instance number into one channel, and take it out of the background."""
    masks[tile, rows, columns, channel] = number
    masks[tile, rows, columns, BACKGROUND] = 0


def example_masks(count: int) -> np.ndarray:
    """Give masks of two rectangles a tile, the classes in turn, at odd places: not every way of shrinking fits."""
    masks = empty_masks(count)
    for tile in range(count):
        add_nucleus(masks, tile, tile % CLASSES, 3 + tile, np.s_[11 : 40 + tile], np.s_[21:66])
        add_nucleus(masks, tile, (tile + 1) % CLASSES, 900, np.s_[101:152], np.s_[133 : 180 + tile])
    return masks


def write_fold(
    folder: Path,
    images: np.ndarray,
    masks: np.ndarray,
    tissues: list[str] | None = None,
    groups: list | None = None,
    positions: list | None = None,
    layout: str = "report",
    number: int = 1,
    **beside: list,
) -> Path:
    """Write a fold under `folder`.

    Args:
        folder: the data set.
        images: `(N, 256, 256, 3)`, written in its dtype.
        masks: `(N, 256, 256, 6)`, written in its dtype.
        tissues: one for each tile, Breast and Colon in turn if not given.
        groups: what `groups.npy` is to hold; not written if not given.
        positions: what `positions.npy` is to hold; not written if not given.
        layout: "report" for `Images` and `Masks`, "pannuke" for `Fold 1/images/fold1` and `Fold 1/masks/fold1`.
        number: of the fold, in PanNuke's layout.
        beside: what other files beside the images are to hold, by their names without `.npy`.

    Returns:
        `folder`.
    """
    report = layout == "report"
    images_folder = folder / ("Images" if report else f"Fold {number}/images/fold{number}")
    masks_folder = folder / ("Masks" if report else f"Fold {number}/masks/fold{number}")
    images_folder.mkdir(parents=True)
    masks_folder.mkdir(parents=True)
    np.save(images_folder / "images.npy", images)
    np.save(masks_folder / "masks.npy", masks)
    np.save(images_folder / "types.npy", tissues or [("Breast", "Colon")[tile % 2] for tile in range(len(images))])
    for name, values in {"groups": groups, "positions": positions, **beside}.items():
        if values is not None:
            np.save(images_folder / f"{name}.npy", values)
    return folder


def write_example(folder: Path, count: int = 3, seed: int = 0, **details) -> Path:
    """Write a fold of example tiles; `details` are those of `write_fold`."""
    return write_fold(folder, example_images(count, seed), example_masks(count), **details)


class Bait:
    """Makes the file `path` when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def write_object_array(path: Path, trap: Path) -> None:
    """Write a `.npy` file of Python objects which makes the file `trap` when it is unpickled."""
    np.save(path, np.array([Bait(trap)], dtype=object), allow_pickle=True)
