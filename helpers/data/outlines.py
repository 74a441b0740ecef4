"""The pixels that the outline of a nucleus encloses."""

import numpy as np

FARTHEST_PIXEL = 1e6  # an outline may leave its image a little; a vertex out here is damage


def fill_outline(instances: np.ndarray, outline: np.ndarray, number: int) -> None:
    """Write `number` into the pixels inside an outline that are still 0.

    ImageScope counts from the corner of the image: whole numbers are corners of pixels, and the centre of pixel
    (row, column) is y = row + 0.5, x = column + 0.5. A pixel is inside if its centre is; of a centre on an edge, the
    nucleus to the right or below has it, so that neighbours share none. Unlike `cv2.fillPoly`, which paints the border
    too and so makes every nucleus a pixel wider, this keeps areas. Where the pen crossed its own line, what is enclosed
    twice is outside (the even-odd rule, that of MATLAB, OpenCV and scikit-image). As in the MATLAB code that MoNuSeg
    hands out, the first of two overlapping outlines keeps the pixels.

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
    outline = outline - 0.5  # from corners of pixels to their centres
    limits = np.ceil([outline.min(0), outline.max(0)]).astype(int)
    (left, top), (right, bottom) = limits.clip(0, instances.shape[::-1])
    rows = np.arange(top, bottom)
    (x, y), (next_x, next_y) = outline.T, np.roll(outline, -1, axis=0).T
    # (rows, edges): where an edge crosses the line through a row's centres
    row, edge = np.nonzero((y <= rows[:, None]) != (next_y <= rows[:, None]))
    where = x[edge] + (rows[row] - y[edge]) * (next_x - x)[edge] / (next_y - y)[edge]
    columns = np.ceil(where).clip(left, right).astype(int) - left
    crossings = np.zeros((bottom - top, right - left + 1), np.int64)
    np.add.at(crossings, (row, columns), 1)
    window = instances[top:bottom, left:right]
    window[(crossings.cumsum(axis=1)[:, :-1] % 2 == 1) & (window == 0)] = number
