"""The outlines of nuclei along the edges of their pixels: polygons whose area is the number of pixels.

The sides of pixels that face another nucleus or none are walked clockwise as seen on the screen, so the nucleus lies on
the right. Sides in a line make a run, which ends at a corner, where the next begins. All runs of a label map and what
follows on each are found at once; the only loop goes from corner to corner.
"""

from itertools import pairwise

import cv2
import numpy as np
from skimage.measure import label

Ring = np.ndarray  # (n, 2) integers: x and y of the corners, the first again at the end
Polygon = list[Ring]  # the outline, then those of its holes
Runs = list[tuple[np.ndarray, np.ndarray]]  # for each side, the first and last pixels of its runs, as walked

ABOVE, RIGHT, BELOW, LEFT = SIDES = range(4)  # of a pixel, in the order in which they are walked


def trace_outlines(labels: np.ndarray, top: int = 0, left: int = 0) -> dict[int, list[Polygon]]:
    """Trace the outline of every nucleus of a label map.

    Pixel (row, column) covers y from row to row + 1 and x from column to column + 1. Pixels that share a side are of
    one polygon, those that only share a corner are not. So polygons are valid as OGC and QuPath ask: no ring touches
    itself, and a hole touches the outline, or another hole, in single points at most.

    Args:
        labels: `(H, W)` integers, 0 where no nucleus is.
        top: row of the picture where the label map begins; it is added to every y.
        left: column where it begins; it is added to every x.

    Returns:
        for each id its polygons, nested as GeoJSON's MultiPolygon is. Outlines have a positive area by the shoelace
        formula and holes a negative one, as RFC 7946 asks; only corners are listed.

    >>> [[outline]] = trace_outlines(np.array([[0, 7, 7], [0, 7, 0]]))[7]
    >>> outline.tolist()
    [[1, 0], [3, 0], [3, 1], [2, 1], [2, 2], [1, 2], [1, 0]]
    """
    height, width = labels.shape
    parts = np.zeros((height + 2, width + 2), np.int32)  # each its own number, with a border of none
    parts[1:-1, 1:-1] = label(labels, background=0, connectivity=1)
    runs = _find_runs(parts)
    following = _follow(parts, runs)
    next_level = following[following].tolist()  # level and upright runs take turns, so the loop skips the upright
    # Every ring has a side above a pixel, and the first such side of a part is of its outline.
    seen, order, firsts, bounds = bytearray(len(following)), [], [], [0]
    for first in range(len(runs[ABOVE][0])):
        if not seen[first]:
            firsts.append(first)
            at = first
            while not seen[at]:
                seen[at] = True
                order.append(at)
                at = next_level[at]
            order.append(first)
            bounds.append(len(order))
    level = np.array(order, int)
    corners = _find_corners(runs, width + 2)[np.stack([level, following[level]], axis=1)] + (left - 1, top - 1)
    corners = corners.reshape(-1, 2)
    rows, columns = np.divmod(runs[ABOVE][0][np.array(firsts, int)], width + 2)
    owners = labels[rows - 1, columns - 1].tolist(), parts[rows, columns].tolist()
    outlines: dict[int, dict[int, Polygon]] = {}
    for nucleus, part, (start, end) in zip(*owners, pairwise(bounds), strict=True):
        outlines.setdefault(nucleus, {}).setdefault(part, []).append(corners[2 * start : 2 * end - 1])
    return {nucleus: list(polygons.values()) for nucleus, polygons in outlines.items()}


def _find_runs(parts: np.ndarray) -> Runs:
    """Find all runs; pixels are places in the flattened map."""
    height, width = parts.shape
    above, below = _split_lines(parts)
    left, right = (
        tuple(pixels % height * width + pixels // height for pixels in ends)  # back from the transposed map
        for ends in _split_lines(cv2.transpose(parts))
    )
    return [above, right, below[::-1], left[::-1]]  # below and left of a nucleus, the walk leads back


def _split_lines(parts: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Find the first and last pixels of the runs between rows: of those above their pixels, then of those below."""
    flat = parts.ravel()
    over = np.flatnonzero(parts[1:] != parts[:-1])
    runs = []
    for pixels in (over + parts.shape[1], over):
        pixels = pixels[flat[pixels] > 0]
        parted = (np.diff(pixels) != 1) | (np.diff(flat[pixels]) != 0)
        some = len(pixels) > 0
        runs.append((pixels[np.append(some, parted)[: len(pixels)]], pixels[np.append(parted, some)[: len(pixels)]]))
    return runs


def _follow(parts: np.ndarray, runs: Runs) -> np.ndarray:
    """Give for every run the number of the one that goes on where it ends; they are numbered side after side."""
    flat = parts.ravel()
    steps = (1, parts.shape[1], -1, -parts.shape[1])  # along each side; the step of the side before leads outwards
    bounds = np.cumsum([0] + [len(starts) for starts, _ in runs])
    following = np.empty(bounds[-1], np.int64)
    numbers = np.empty(parts.size, np.int64)  # where a run of one side starts, its number
    for side, (starts, _) in enumerate(runs):
        numbers[starts] = np.arange(bounds[side], bounds[side + 1])
        # These runs follow on those of the side before, round the pixel in which those end, and on those of the side
        # after if diagonally ahead lies a pixel of the same part.
        for other, is_left in (((side - 1) % 4, False), ((side + 1) % 4, True)):
            ends = runs[other][1]
            ahead = ends + steps[other] + steps[other - 1]
            turning = (flat[ahead] == flat[ends]) == is_left
            following[bounds[other] : bounds[other + 1]][turning] = numbers[(ahead if is_left else ends)[turning]]
    return following


def _find_corners(runs: Runs, width: int) -> np.ndarray:
    """Give `(n, 2)`, x and y of the corners where the runs begin."""
    return np.concatenate(
        [
            np.stack([starts % width + (side in (RIGHT, BELOW)), starts // width + (side in (BELOW, LEFT))], axis=1)
            for side, (starts, _) in enumerate(runs)
        ]
    )
