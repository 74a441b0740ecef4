"""Label and probability images: tiled TIFF files of any size, written one row of tiles after another."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile

from helpers.files import written_whole

TILE = 512  # pixels a side; TIFF asks for a multiple of 16
ACROSS = 16  # tiles side by side that are read at once
# Of zlib, which every reader knows. Label maps are runs of one number: level 6 takes twice the time for a tenth less
# (a sixtieth of the bytes as they are), and a predictor makes them larger.
LEVEL = 1
LARGEST_CLASSIC = 2**32 - 2**25  # bytes; TIFF counts to 2**32, and its tables take some

Reader = Callable[[int, int, int, int], np.ndarray]  # top, left, height, width -> (height, width)


def write_label_image(
    path: Path, read_labels: Reader, height: int, width: int, um_per_px: float, tile: int = TILE
) -> None:
    """Write a label map as TIFF: uint32, 0 where no nucleus is, and of each nucleus its number in the table.

    Args:
        path: where to, whole or not at all.
        read_labels: gives any rectangle of the label map, `(height, width)` integers. It is asked for pieces as high as
            a tile and as wide as `ACROSS` of them, in reading order, so that memory does not grow with the picture.
        height: rows of the picture.
        width: its columns.
        um_per_px: its scale, written as the resolution.
        tile: side of the tiles in pixels, a multiple of 16.

    Raises:
        OSError: the file cannot be written, as where the disk is full; nothing of it is left then.
    """
    _write(path, read_labels, height, width, um_per_px, tile, np.dtype(np.uint32), "ids of nuclei; 0 is none")


def write_probability(path: Path, read: Reader, height: int, width: int, um_per_px: float, tile: int = TILE) -> None:
    """Write the probability of nucleus as TIFF: uint8, 0 to 255 for 0 to 1, so that 128 and more are one half and more.

    Args:
        path: where to, whole or not at all.
        read: gives any rectangle of the probability, `(height, width)` floats from 0 to 1, as `write_label_image` asks.
        height: rows of the picture.
        width: its columns.
        um_per_px: its scale, written as the resolution.
        tile: side of the tiles in pixels, a multiple of 16.

    Raises:
        OSError: the file cannot be written, as where the disk is full; nothing of it is left then.
    """

    def scaled(*place: int) -> np.ndarray:
        return np.floor(read(*place) * 255 + 0.5).astype(np.uint8)

    _write(path, scaled, height, width, um_per_px, tile, np.dtype(np.uint8), "probability of nucleus, times 255")


def _write(
    path: Path, read: Reader, height: int, width: int, um_per_px: float, tile: int, dtype: np.dtype, description: str
) -> None:
    per_cm = 1e4 / um_per_px
    # Without compression it could be as large as this; whether it is, shows only when it is written.
    large = height * width * dtype.itemsize > LARGEST_CLASSIC
    with written_whole(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=large) as writer:
        writer.write(
            _tiles(read, height, width, tile, dtype),
            shape=(height, width),
            dtype=dtype,
            tile=(tile, tile),
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": LEVEL},
            resolution=(per_cm, per_cm),
            resolutionunit="CENTIMETER",
            description=description,
            software=False,
            metadata=None,
        )


def _tiles(read: Reader, height: int, width: int, tile: int, dtype: np.dtype) -> Iterator[np.ndarray]:
    """Give all tiles in reading order, each `(tile, tile)`, with zeros beyond the picture."""
    for top in range(0, height, tile):
        for first in range(0, width, ACROSS * tile):
            several = read(top, first, min(tile, height - top), min(ACROSS * tile, width - first))
            for left in range(0, several.shape[1], tile):
                piece = several[:, left : left + tile]
                padded = np.zeros((tile, tile), dtype)
                padded[: piece.shape[0], : piece.shape[1]] = piece
                yield padded
