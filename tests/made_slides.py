"""Whole slides of painted tissue, and what a process of its own takes in memory and time: for long tests alone."""

import functools
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile

from helpers.sample_tissue.sample import sample_field

ROOT = Path(__file__).resolve().parents[1]
CELL = 512  # pixels a side: of a painted field, and of the file's tiles
FIELDS = 5  # that are painted; slides repeat them
GLASS = 243
LEVELS = (1, 4, 16)
SHARE = 0.3  # of a slide's area that holds tissue
STATUS = Path("/proc/self/status")  # where Linux tells of a process's memory
PREDICT = """
from helpers import predict_files
from helpers.inference.outputs import USUAL
rows = predict_files(sys.argv[1], sys.argv[2], save=sys.argv[3:] or USUAL)
assert rows[0]["status"] == "done", rows
"""


def in_a_disc(side: int) -> Callable[[int, int], bool]:
    """Give whether a cell of a slide, by its row and column, lies in a disc of `SHARE` of its area."""
    middle, radius = side / 2 / CELL - 0.5, side / CELL * math.sqrt(SHARE / math.pi)
    return lambda row, column: math.hypot(row - middle, column - middle) < radius


def write_slide(path: Path, side: int, holds_tissue: Callable[[int, int], bool]) -> Path:
    """Write a pyramid of JPEG tiles at 0.25 um/px, tile by tile.

    Args:
        path: where to.
        side: height and width in pixels.
        holds_tissue: of the row and column of a cell of `CELL` pixels.
    """
    about = {"photometric": "rgb", "resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER", "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for factor in LEVELS:
            length = math.ceil(side / factor)
            writer.write(
                _tiles(length, factor, holds_tissue), shape=(length, length, 3), dtype=np.uint8, tile=(CELL, CELL),
                subfiletype=int(factor > 1), compression="jpeg", compressionargs={"level": 85}, **about,
            )  # fmt: skip
    return path


def _tiles(length: int, factor: int, holds_tissue: Callable[[int, int], bool]) -> Iterator[np.ndarray]:
    """Give the tiles of a level, which has `length` pixels a side and is smaller by `factor`."""
    count, small = math.ceil(length / CELL), CELL // factor
    for top, left in np.ndindex(count, count):
        tile = np.full((CELL, CELL, 3), GLASS, np.uint8)
        for row, column in np.ndindex(factor, factor):
            place = top * factor + row, left * factor + column
            if holds_tissue(*place):
                field = _field((3 * place[0] + place[1]) % FIELDS, factor)
                tile[row * small : (row + 1) * small, column * small : (column + 1) * small] = field
        yield tile


@functools.cache
def _field(number: int, factor: int) -> np.ndarray:
    image = sample_field(number)[0]
    return cv2.resize(image, (CELL // factor, CELL // factor), interpolation=cv2.INTER_AREA)


def peak_megabytes(code: str, *arguments: object) -> tuple[float, list[str]]:
    """Run something in a process of its own; give its peak of memory in MB, mapped pages too, and its words."""
    code = f"import sys\nfrom pathlib import Path\n{code}"
    # Not `getrusage`: that counts what the process had in memory which this one was forked from.
    code += f"\nprint(next(line for line in open('{STATUS}') if line.startswith('VmHWM:')).split()[1])"
    child = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
    )  # fmt: skip
    *words, kilobytes = child.stdout.split()
    return int(kilobytes) * 1024 / 1e6, words
