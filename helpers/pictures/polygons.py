"""The outlines of nuclei along the edges of their pixels: polygons whose area is the number of pixels.

The sides of pixels that face another nucleus or none are walked clockwise as seen on the screen, so the nucleus lies on the
right. Sides in a line make a run, which ends at a corner, where the next begins. All runs of a label map and what follows
on each are found at once; the only loop goes from corner to corner.
"""

import numpy as np
from skimage.measure import label

Ring = list[list[int]]  # [x, y] of the corners, the first again at the end
Polygon = list[Ring]  # the outline, then those of its holes

ABOVE, RIGHT, BELOW, LEFT = range(4)  # the sides of a pixel, in the order in which they are walked


def trace_outlines(labels: np.ndarray, top: int = 0, left: int = 0) -> dict[int, list[Polygon]]:
    """Trace the outline of every nucleus of a label map.

    Pixel (row, column) covers y from row to row + 1 and x from column to column + 1. Pixels that share a side are of one
    polygon, those that only share a corner are not. So polygons are valid as OGC and QuPath ask: no ring touches itself,
    and a hole touches the outline, or another hole, in single points at most.

    Args:
        labels: `(H, W)` integers, 0 where no nucleus is.
        top: row of the picture where the label map begins; it is added to every y.
        left: column where it begins; it is added to every x.

    Returns:
        for each id its polygons, as GeoJSON writes the coordinates of a MultiPolygon. Outlines have a positive area by
        the shoelace formula and holes a negative one, as RFC 7946 asks; only corners are listed.

    >>> trace_outlines(np.array([[0, 7, 7], [0, 7, 0]]))
    {7: [[[[1, 0], [3, 0], [3, 1], [2, 1], [2, 2], [1, 2], [1, 0]]]]}
    """
    parts = np.pad(label(labels, background=0, connectivity=1), 1)  # each its own number
    runs = _find_runs(parts)
    following = np.concatenate(_follow(parts, runs)).tolist()
    corners = np.concatenate([_starting_corners(starts, side, parts.shape[1]) for side, (starts, _) in enumerate(runs)])
    corners = (corners + (left - 1, top - 1)).tolist()
    pixels = runs[ABOVE][0]  # every ring has a side above a pixel, and the first of a part is of its outline
    rows, columns = np.divmod(pixels, parts.shape[1])
    owners = zip(labels[rows - 1, columns - 1].tolist(), parts.ravel()[pixels].tolist(), strict=True)
    seen = bytearray(len(corners))
    outlines: dict[int, dict[int, Polygon]] = {}
    for run, (nucleus, part) in enumerate(owners):
        if seen[run]:
            continue
        ring, at = [], run
        while not seen[at]:
            seen[at] = True
            ring.append(corners[at])
            at = following[at]
        ring.append(ring[0])
        outlines.setdefault(nucleus, {}).setdefault(part, []).append(ring)
    return {nucleus: list(polygons.values()) for nucleus, polygons in outlines.items()}


def _find_runs(parts: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Give for each side the first and last pixels, as walked, of all runs; by rows, and for right and left by columns.

    Pixels are places in the flattened map.
    """
    height, width = parts.shape
    below_edge, above_edge = _split_edges(parts)
    right_of_edge, left_of_edge = (
        [pixels % height * width + pixels // height for pixels in ends]  # back from the transposed map
        for ends in _split_edges(np.ascontiguousarray(parts.T))
    )
    return [below_edge, left_of_edge, above_edge[::-1], right_of_edge[::-1]]


def _split_edges(parts: np.ndarray) -> list[list[np.ndarray]]:
    """Give the ends of runs along the lines between rows: of the pixels below the line, then of those above."""
    flat = parts.ravel()
    above = np.flatnonzero(parts[1:] != parts[:-1])
    runs = []
    for pixels in (above + parts.shape[1], above):
        pixels = pixels[flat[pixels] > 0]
        apart = (np.diff(pixels) != 1) | (np.diff(flat[pixels]) != 0)
        ends = np.flatnonzero(np.append(apart, len(pixels) > 0))
        runs.append([pixels[np.append(0, ends[:-1] + 1)[: len(ends)]], pixels[ends]])
    return runs


def _follow(parts: np.ndarray, runs: list[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Give for each run of each side the number of the run that goes on where it ends; numbers go on from side to side."""
    flat, (height, width) = parts.ravel(), parts.shape
    steps = (1, width, -1, -width)  # along a side, as it is walked; outwards is the step of the side before
    offsets = np.cumsum([0] + [len(starts) for starts, _ in runs])

    def find(side: int, pixels: np.ndarray) -> np.ndarray:
        by_columns = side in (RIGHT, LEFT)
        ordered, wanted = (
            places % width * height + places // width if by_columns else places for places in (runs[side][0], pixels)
        )
        return offsets[side] + np.searchsorted(ordered, wanted)

    following = []
    for side, (_, ends) in enumerate(runs):
        before, after = (side - 1) % 4, (side + 1) % 4
        ahead = ends + steps[side] + steps[before]  # diagonally ahead, outside: if it is of the part, turn left along it
        following.append(np.where(flat[ahead] == flat[ends], find(before, ahead), find(after, ends)))
    return following


def _starting_corners(pixels: np.ndarray, side: int, width: int) -> np.ndarray:
    """Give `(n, 2)`, x and y of the corner of each pixel where its side begins."""
    return np.stack([pixels % width + (side in (RIGHT, BELOW)), pixels // width + (side in (BELOW, LEFT))], axis=1)
