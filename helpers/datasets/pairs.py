"""Writes pictures and masks, the way most people have their own data, as a fold: `convert --kind pairs`.

A picture is brought to the tiles' scale and cut into as few tiles as cover it, evenly, so that they overlap rather than
reach beyond it. Only one with a side shorter than a tile is padded: by its own mirror image, mask and all, so that no
network learns that a border is background; `extents.npy` tells scores what to leave out.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from helpers.config import CLASS_NAMES, TILE_SIZE, TILE_UM_PER_PX
from helpers.data.fold_writer import Tile, write_fold
from helpers.datasets.convert import UNTYPED, tile_masks
from helpers.datasets.own_files import Pair, find_pairs, read_ids, read_labels, read_picture
from helpers.errors import InputError
from helpers.paths import as_path
from helpers.preprocessing import check_scale


def convert_pairs(
    images: Path,
    masks: Path,
    out: Path,
    um_per_px: float,
    *,
    kinds: Path | None = None,
    kind_names: Sequence[str] = CLASS_NAMES,
    group_pattern: str | None = None,
    tissue: str = "unknown",
) -> Path:
    """Write pictures and the masks of the same names as a fold, whole or not at all; return `out`.

    Args:
        images: folder of colour pictures.
        masks: folder of their masks: pictures of ids, of 0 and 255 or of 0 and 1, HoVer-Net's `.mat` with `inst_map`
            and perhaps `type_map`, or for each picture a folder of its name with a mask for each nucleus. In a mask
            without ids a connected piece (of one kind) counts as one nucleus.
        out: where to; it may exist, but must not hold a fold already.
        um_per_px: scale of all pictures, micrometres a pixel, 0.1 to 1.
        kinds: folder of pictures that hold the kind of each nucleus, 1 to 5, in its pixels; `masks` itself where its
            values are kinds.
        kind_names: what the kinds from 1 on are; PanNuke's if not given.
        group_pattern: regular expression, searched in each picture's name: its first group, or else all that matched,
            names the source, a slide or a patient, that no split may part. Without, each picture is its own.
        tissue: of all pictures; or a CSV file with the columns `image` and `tissue`.

    Raises:
        InputError: a picture has no mask or a mask no picture, sizes differ, a file cannot be read or holds something
            else, the scale cannot be, a picture is smaller than 64 pixels; `out` holds a fold, cannot be written to, or
            the disk is too small.
    """
    images, masks, kinds = as_path(images), as_path(masks), None if kinds is None else as_path(kinds)
    um_per_px = check_scale(um_per_px)
    if not (1 <= len(kind_names) <= len(CLASS_NAMES) and all(kind_names)):
        raise InputError(
            f"kind names: expected 1 to {len(CLASS_NAMES)}, found {len(kind_names)}; merge kinds, and name each"
        )
    pairs = find_pairs(images, masks, kinds, group_pattern, tissue)
    # All masks are read before anything is written: some are only known for ids by the others.
    with_ids, typed, tiles = False, False, 0
    for pair in pairs:
        labels, types = read_labels(pair.labels, pair.size)
        with_ids |= bool(_has_ids(pair.labels, labels))
        typed |= types is not None or pair.kinds is not None
        tiles += math.prod(len(_starts(length)) for length in _at_scale(pair.size, um_per_px))
    names = (*kind_names, *["Unused"] * (len(CLASS_NAMES) - len(kind_names))) if typed else UNTYPED
    return write_fold(out, tiles, _cut(pairs, um_per_px, with_ids, len(kind_names)), kinds=names)


def resample_labels(labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Give each pixel of another size the value of the pixel `(H, W)` in which its centre lies: `(height, width)`.

    OpenCV's nearest neighbour takes the top left pixel instead, which shifts masks against images. A centre on the very
    corner of four pixels, as where sides are halved, takes the first and the last of them in turn, as on a chessboard,
    so that nothing shifts and nothing grows.

    >>> resample_labels(np.array([[1, 2]]), 2, 4)
    array([[1, 1, 2, 2],
           [1, 1, 2, 2]])
    >>> resample_labels(np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), 1, 2)
    array([[1, 8]])
    """
    centres = [(np.arange(new) + 0.5) * old / new for old, new in zip(labels.shape, (height, width), strict=True)]
    first = labels[np.ix_(*(np.ceil(along).astype(np.int64) - 1 for along in centres))]
    last = labels[np.ix_(*(np.floor(along).astype(np.int64) for along in centres))]
    return np.where(np.logical_xor.outer(np.arange(height) % 2, np.arange(width) % 2), last, first)


def _has_ids(path: Path, labels: np.ndarray) -> bool | None:
    """Tell whether values are ids, or 0 and 255 alone (False); None for 0 and 1, where the other files decide."""
    if path.is_dir() or path.suffix.lower() == ".mat":
        return True
    highest, full = labels.max(), labels == 255
    if highest <= 1:
        return None
    if highest == 255 and full.sum() > (labels > 0).sum() / 2 and len(np.unique(labels)) > 3:
        raise InputError(f"{path}: found a mask with soft borders, expected 0 and 255 alone, or ids; save it without")
    return highest != 255 or not (full | (labels == 0)).all()


def _at_scale(size: tuple[int, int], um_per_px: float) -> tuple[int, int]:
    height, width = (max(1, round(length * um_per_px / TILE_UM_PER_PX)) for length in size)
    return height, width


def _starts(length: int) -> list[int]:
    """Give where tiles begin along a side: as few as cover it, evenly.

    >>> _starts(1000), _starts(100)
    ([0, 248, 496, 744], [0])
    """
    steps = max(0, math.ceil(length / TILE_SIZE) - 1)
    return [round(step * (length - TILE_SIZE) / steps) for step in range(steps + 1)] if steps else [0]


def _cut(pairs: list[Pair], um_per_px: float, with_ids: bool, num_kinds: int) -> Iterator[Tile]:
    for pair in pairs:
        image, instances, channels, annotated = _read(pair, um_per_px, with_ids, num_kinds)
        for row in _starts(image.shape[0]):
            for col in _starts(image.shape[1]):
                window = np.s_[row : row + TILE_SIZE, col : col + TILE_SIZE]
                masks = tile_masks(_padded(instances[window]), _padded(channels[window]))
                extent = image[window].shape[:2]
                yield Tile(
                    _padded(image[window]),
                    masks,
                    pair.tissue,
                    pair.group,
                    (row, col),
                    pair.picture.stem,
                    extent,
                    annotated,
                )


def _padded(values: np.ndarray) -> np.ndarray:
    """Mirror a piece at its lower and right border until it fills a tile."""
    beyond = [(0, TILE_SIZE - length) for length in values.shape[:2]]
    return np.pad(values, [*beyond, *[(0, 0)] * (values.ndim - 2)], mode="symmetric")


def _read(
    pair: Pair, um_per_px: float, with_ids: bool, num_kinds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[bool, bool]]:
    """Read a picture at the tiles' scale.

    Returns:
        the image `(H, W, 3)` uint8; instances `(H, W)` uint16; PanNuke's channels `(H, W)` uint8; and whether its kinds
        are known and its nuclei told apart.
    """
    labels, kinds = read_labels(pair.labels, pair.size)
    if pair.kinds is not None:
        kinds = read_ids(pair.kinds, pair.size)
    by_kind = pair.kinds is not None and pair.kinds.samefile(pair.labels)
    has_ids = _has_ids(pair.labels, labels)
    apart = not by_kind and (with_ids if has_ids is None else has_ids)
    if kinds is not None:
        wrong = (labels > 0) & ((kinds < 1) | (kinds > num_kinds))
        if wrong.any():
            raise InputError(
                f"{pair.kinds or pair.labels}: found a nucleus of kind {kinds[wrong][0]}, expected 1 to {num_kinds}; "
                "number the kinds so, and merge some if there are more"
            )
    if not apart:
        labels = _number_pieces(np.where(labels > 0, 1 if kinds is None else kinds, 0))
    if labels.max() > np.iinfo(np.uint16).max:
        numbers = np.unique(np.append(0, labels), return_inverse=True)[1]  # 0 stays 0
        labels = numbers[1:].reshape(labels.shape)
        if labels.max() > np.iinfo(np.uint16).max:
            raise InputError(f"{pair.labels}: found over 65,535 nuclei, expected fewer; cut the picture into several")
    height, width = _at_scale(pair.size, um_per_px)
    channels = np.zeros_like(labels) if kinds is None else np.where(labels > 0, kinds - 1, 0)
    image = read_picture(pair.picture)
    if pair.size != (height, width):
        shrinks = height <= pair.size[0] and width <= pair.size[1]
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        labels, channels = (resample_labels(values, height, width) for values in (labels, channels))
    return image, labels.astype(np.uint16), channels.astype(np.uint8), (kinds is not None, apart)


def _number_pieces(kinds: np.ndarray) -> np.ndarray:
    """Number the connected pieces of each value above 0 from 1, corners connected.

    >>> _number_pieces(np.array([[2, 2, 0, 3], [0, 3, 3, 0]]))
    array([[1, 1, 0, 2],
           [0, 2, 2, 0]])
    """
    numbers, count = np.zeros_like(kinds), 0
    for value in np.unique(kinds[kinds > 0]):
        more, pieces = cv2.connectedComponents((kinds == value).astype(np.uint8))
        numbers[pieces > 0] = pieces[pieces > 0] + count
        count += more - 1
    return numbers
