"""Writes the public download of another set as a fold in PanNuke's layout: what the control run was trained on.

The images of MoNuSeg and CoNSeP are cut into 4 x 4 tiles that overlap and leave nothing out; `positions.npy` puts them
together again. An image of NuInsSeg, halved, is one tile. Reading is `helpers.sources`.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers import sources
from helpers.config import BACKGROUND_CHANNEL, CLASS_NAMES, TILE_SIZE
from helpers.errors import InputError

BYTES_PER_TILE = TILE_SIZE**2 * (3 + 2 * (len(CLASS_NAMES) + 1))  # uint8 images, uint16 masks
# MoNuSeg: evenly, each tile overlaps the next by 8 pixels.
MONUSEG_POSITIONS = tuple((row, col) for row in (0, 248, 496, 744) for col in (0, 248, 496, 744))
# CoNSeP: nine tiles edge to edge, then the bottom row, the right column and the corner, shifted back into the image by
# 24 pixels. The order is that of the tiles that the control run was trained on: a digest depends on it.
CONSEP_POSITIONS = (
    *((row, col) for row in (0, 256, 512) for col in (0, 256, 512)),
    *((744, col) for col in (0, 256, 512)),
    *((row, 744) for row in (0, 256, 512)),
    (744, 744),
)


@dataclass(frozen=True)
class Converter:
    """How one set is read and cut.

    Attributes:
        find: lists the images of a folder.
        read: reads one: the image, its instances, and the channel that each pixel's instance belongs to.
        positions: row and column of its tiles.
    """

    find: Callable[[Path], list[sources.Pair]]
    read: Callable[[sources.Pair], sources.Annotated]
    positions: tuple[tuple[int, int], ...]


CONVERTERS = {
    "monuseg": Converter(sources.find_monuseg, sources.read_monuseg, MONUSEG_POSITIONS),
    "consep": Converter(sources.find_consep, sources.read_consep, CONSEP_POSITIONS),
    "nuinsseg": Converter(sources.find_nuinsseg, sources.read_nuinsseg, ((0, 0),)),
}


def convert(source: Path, out: Path, kind: str) -> Path:
    """Write a download as a fold in PanNuke's layout, whole or not at all.

        out/Images/images.npy     (N, 256, 256, 3)  uint8, RGB
        out/Images/types.npy      (N,)              organ of each tile
        out/Images/groups.npy     (N,)              its source: tiles of one group never belong on both sides of a split
        out/Images/positions.npy  (N, 2)            its row and column in its image, pixels
        out/Masks/masks.npy       (N, 256, 256, 6)  uint16, instance ids by class; channel 5 is the background

    Sets without classes have all their nuclei in channel 0.

    Args:
        source: folder that the download was unpacked to; `Dataset/README.md` shows which one for each set.
        out: where to; it may exist, but must not hold a fold already.
        kind: "monuseg", "consep" or "nuinsseg".

    Returns:
        `out`.

    Raises:
        InputError: `kind` is unknown; something of the download is missing, unreadable or of another size than was
            published; `out` holds Images or Masks, cannot be written to, or the disk is too small.
    """
    source, out = Path(source), Path(out)
    if kind not in CONVERTERS:
        raise InputError(f"{source}: found kind {kind!r}, expected one of {', '.join(CONVERTERS)}; choose one")
    for name in ("Images", "Masks"):
        if (out / name).exists():
            raise InputError(f"{out / name}: found a fold there, expected none; delete it or choose another folder")
    pairs = CONVERTERS[kind].find(source)
    # Beside a new folder, but inside one that exists: it may be a mounted disk, and nothing is renamed across disks.
    temporary = (out if out.is_dir() else out.parent) / f".convert.{os.getpid()}"
    try:
        temporary.mkdir(parents=True)
        needed = len(pairs) * len(CONVERTERS[kind].positions) * BYTES_PER_TILE
        free = shutil.disk_usage(temporary).free
        if needed > free:  # a memory map on a full disk does not raise, it kills the process
            raise InputError(
                f"{out}: found {free / 1e6:.0f} MB of free disk, expected {needed / 1e6:.0f} MB; free some"
            )
        _write(temporary, pairs, CONVERTERS[kind])
        if out.is_dir():
            for name in ("Masks", "Images"):  # a fold is known by its images: they come last
                os.rename(temporary / name, out / name)
        else:
            os.rename(temporary, out)
    except OSError as error:
        raise InputError(
            f"{out}: found no way to write there ({error.strerror or error}), expected a writable folder or a place "
            "for a new one; choose another"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def tile_masks(instances: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Lay instance ids into the channels of their classes.

    Args:
        instances: `(H, W)` uint16, 0 where no nucleus is.
        channels: `(H, W)` uint8, PanNuke's channel of each pixel, 0-4.

    Returns:
        `(H, W, 6)` uint16; channel 5 is 1 where no nucleus is.

    >>> tile_masks(np.array([[0, 7]], np.uint16), np.array([[2, 4]], np.uint8)).tolist()
    [[[0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 7, 0]]]
    """
    masks = np.zeros((*instances.shape, len(CLASS_NAMES) + 1), np.uint16)
    np.put_along_axis(masks, channels[..., None].astype(np.intp), instances[..., None], axis=-1)
    masks[..., BACKGROUND_CHANNEL] = instances == 0
    return masks


def _write(folder: Path, pairs: list[sources.Pair], converter: Converter) -> None:
    """Write the arrays of a fold into an empty folder, image by image: the whole never lies in memory."""
    shape = (len(pairs) * len(converter.positions), TILE_SIZE, TILE_SIZE)
    for name in ("Images", "Masks"):
        (folder / name).mkdir()
    images = np.lib.format.open_memmap(folder / "Images/images.npy", mode="w+", dtype=np.uint8, shape=(*shape, 3))
    masks = np.lib.format.open_memmap(
        folder / "Masks/masks.npy", mode="w+", dtype=np.uint16, shape=(*shape, len(CLASS_NAMES) + 1)
    )
    facts = []
    for pair in pairs:
        image, instances, channels = converter.read(pair)
        for row, col in converter.positions:
            window = np.s_[row : row + TILE_SIZE, col : col + TILE_SIZE]
            images[len(facts)] = image[window]
            masks[len(facts)] = tile_masks(instances[window], channels[window])
            facts.append((pair.tissue, pair.group, (row, col)))
    images.flush()
    masks.flush()
    for name, values in zip(("types", "groups", "positions"), zip(*facts, strict=True), strict=True):
        np.save(folder / "Images" / f"{name}.npy", np.array(values))
