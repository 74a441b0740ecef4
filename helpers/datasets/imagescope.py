"""What is read: outlines drawn in Aperio ImageScope, and the pixels they enclose."""

from pathlib import Path

import numpy as np
from defusedxml import ElementTree

from helpers.errors import InputError

FARTHEST_PIXEL = 1e6  # an outline may leave its image a little; a vertex out here is damage


def parse_outlines(path: Path, data: bytes) -> list[np.ndarray]:
    """Parse the outlines of an Aperio ImageScope file, whatever layer they stand in.

    Args:
        path: names the file in messages.
        data: what it holds. A document type, by which entities could grow without end, is refused.

    Returns:
        for each `Region` its `Vertex` elements, `(n, 2)` float64, x and y in pixels.

    Raises:
        InputError: no XML, none of ImageScope's, or without outlines.
    """
    try:
        outlines = [
            # A region may have no vertex.
            np.array([(float(v.attrib["X"]), float(v.attrib["Y"])) for v in region.iter("Vertex")]).reshape(-1, 2)
            for region in ElementTree.fromstring(data, forbid_dtd=True).iter("Region")
        ]
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise InputError(
            f"{path}: found no outlines that can be read ({type(error).__name__}: {error}), "
            "expected ImageScope XML with X and Y for each Vertex; unpack the download again"
        ) from None
    if not outlines:
        raise InputError(f"{path}: found no Region, expected an outline for each nucleus; unpack the download again")
    if not (np.abs(np.concatenate(outlines)) < FARTHEST_PIXEL).all():  # so written that NaN is caught
        raise InputError(f"{path}: found a vertex far outside of any image, expected pixels; unpack the download again")
    return outlines


def fill_outline(instances: np.ndarray, outline: np.ndarray, number: int) -> None:
    """Write `number` into the pixels inside an outline that are still 0.

    A pixel is inside if its centre is, and the centre of pixel (row, column) is y = row, x = column. Unlike
    `cv2.fillPoly`, which paints the border too and so makes every nucleus a pixel wider, this keeps areas. Where the
    pen crossed its own line, what is enclosed twice is inside as well (non-zero winding). As in the MATLAB code that
    MoNuSeg hands out, the first of two overlapping outlines keeps the pixels.

    Args:
        instances: `(H, W)` integers, changed in place.
        outline: `(n, 2)`, x and y; closed by itself, and free to leave the image. Under three vertices fill nothing.
        number: what to write.

    >>> image = np.zeros((3, 5), int)
    >>> fill_outline(image, np.array([[1, 0], [4, 0], [4, 2], [1, 2]]), 7)
    >>> image
    array([[0, 7, 7, 7, 0],
           [0, 7, 7, 7, 0],
           [0, 0, 0, 0, 0]])
    """
    if len(outline) < 3:
        return
    limits = np.ceil([outline.min(0), outline.max(0)]).astype(int)
    (left, top), (right, bottom) = limits.clip(0, instances.shape[::-1])
    rows = np.arange(top, bottom)
    (x, y), (next_x, next_y) = outline.T, np.roll(outline, -1, axis=0).T
    # (rows, edges): 1 where an edge crosses the line through a row's centres downwards, -1 upwards
    crossings = (y <= rows[:, None]).astype(np.int64) - (next_y <= rows[:, None])
    row, edge = np.nonzero(crossings)
    where = x[edge] + (rows[row] - y[edge]) * (next_x - x)[edge] / (next_y - y)[edge]
    columns = np.ceil(where).clip(left, right).astype(int) - left
    winding = np.zeros((bottom - top, right - left + 1), np.int64)
    np.add.at(winding, (row, columns), crossings[row, edge])
    window = instances[top:bottom, left:right]
    window[(winding.cumsum(axis=1)[:, :-1] != 0) & (window == 0)] = number
