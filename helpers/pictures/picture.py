"""A picture of any size, read by rectangles: what every reader gives, and an array in memory, the simplest one."""

from abc import ABC, abstractmethod

import cv2
import numpy as np

WHOLE_PIXELS = 10**8  # that are decoded at once: 300 MB as RGB, and twice that on the way
BAND_PIXELS = 2**22  # of a level that are in memory at once while it is shrunk


class Picture(ABC):
    """A picture that is read by rectangles, so that a slide takes no more memory than a tile.

    Attributes:
        name: what messages call it, such as its path.
        height: rows, at its full size.
        width: columns.
        um_per_px: its scale in micrometres a pixel as the file tells it; None where it tells none of a microscope, NaN
            where its pixels are not square (`scale.choose_scale`).
        scale_source: where that comes from, such as "0.25 um/px (OME's PhysicalSize)", or what the file says that is no
            scale; "" where it says nothing.
    """

    name: str
    height: int
    width: int
    um_per_px: float | None = None
    scale_source: str = ""

    @abstractmethod
    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Read a rectangle that lies within the picture; several threads may do so at once.

        Args:
            top: its first row.
            left: its first column.
            height: its rows, 1 or more.
            width: its columns.

        Returns:
            `(height, width, 3)` uint8, RGB, or `(height, width, 4)` RGBA.

        Raises:
            InputError: the file is damaged there.
        """

    @abstractmethod
    def shrink(self, factor: int) -> np.ndarray:
        """Give the whole picture, smaller: the mean over squares of `factor` pixels a side, laid on white.

        Returns:
            `(ceil(height / factor), ceil(width / factor), 3)` uint8, RGB. Where a slide holds smaller copies of itself,
            they are taken, so that it is quick.
        """

    def close(self) -> None:  # noqa: B027, an array has nothing to let go of
        """Let go of the file."""

    def __enter__(self) -> "Picture":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PyramidPicture(Picture):
    """A picture in a file that may hold smaller copies of itself.

    Attributes:
        sizes: height and width of each level, the full size first.
    """

    sizes: list[tuple[int, int]]

    @abstractmethod
    def read_level(self, number: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Read a rectangle that lies within a level, in its own pixels, as `read` does."""

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Read a rectangle at full size."""
        return self.read_level(0, top, left, height, width)

    def shrink(self, factor: int) -> np.ndarray:
        """Shrink the smallest level that fits, band by band."""
        expected = tuple(-(-length // factor) for length in self.sizes[0])
        number, part = _choose_level(self.sizes, factor, expected)
        height, width = self.sizes[number]
        rows = max(1, BAND_PIXELS // width // part) * part
        bands = [
            shrink_area(compose(self.read_level(number, top, 0, min(rows, height - top), width)), part)
            for top in range(0, height, rows)
        ]
        small = np.concatenate(bands)[: expected[0], : expected[1]]
        missing = [(0, length - there) for length, there in zip(expected, small.shape[:2], strict=True)]
        return np.pad(small, (*missing, (0, 0)), mode="edge")


def _choose_level(sizes: list[tuple[int, int]], factor: int, expected: tuple[int, ...]) -> tuple[int, int]:
    """Choose the smallest level that a whole number shrinks to the expected size, and that number.

    A row and a column more or less are let pass: writers round the size of a level up or down.

    >>> _choose_level([(1000, 800), (500, 400), (250, 200), (62, 50)], 8, (125, 100))
    (2, 2)
    >>> _choose_level([(1000, 800), (333, 267)], 8, (125, 100))
    (0, 8)
    """
    for number in range(len(sizes) - 1, 0, -1):
        part = round(factor * sizes[number][0] / sizes[0][0]) or round(factor * sizes[number][1] / sizes[0][1])
        if part and all(abs(-(-n // part) - m) <= 1 for n, m in zip(sizes[number], expected, strict=True)):
            return number, part
    return 0, factor


class ArrayPicture(Picture):
    """An image in memory.

    Args:
        image: `(H, W, 3)` uint8, RGB, or `(H, W, 4)` RGBA.
        name: what messages call it.
        um_per_px: its scale in micrometres a pixel, where it is known.
        scale_source: where that comes from.
    """

    def __init__(
        self, image: np.ndarray, name: str = "image", um_per_px: float | None = None, scale_source: str = ""
    ) -> None:
        self.image, self.name = image, name
        self.height, self.width = image.shape[:2]
        self.um_per_px, self.scale_source = um_per_px, scale_source

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Give a view of the rectangle."""
        return self.image[top : top + height, left : left + width]

    def shrink(self, factor: int) -> np.ndarray:
        """Give the means over squares; those at the border count the pixels that they have."""
        rows = max(1, BAND_PIXELS // self.width // factor) * factor
        return np.concatenate(
            [shrink_area(compose(self.image[top : top + rows]), factor) for top in range(0, self.height, rows)]
        )


def compose(image: np.ndarray) -> np.ndarray:
    """Lay RGBA on white, as glass is; RGB stays as it is.

    >>> compose(np.array([[[0, 100, 255, 0], [0, 100, 255, 255]]], np.uint8)).tolist()
    [[[255, 255, 255], [0, 100, 255]]]
    """
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.uint16)
    return ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def shrink_area(image: np.ndarray, factor: int) -> np.ndarray:
    """Shrink `(H, W, 3)` uint8 by the mean over squares of `factor` pixels; at the border those count that are there.

    >>> shrink_area(np.array([[[0] * 3, [200] * 3, [90] * 3]], np.uint8), 2)[..., 0].tolist()
    [[100, 90]]
    """
    height, width = (length // factor * factor for length in image.shape[:2])
    small = np.empty((*(-(-length // factor) for length in image.shape[:2]), 3), np.uint8)
    if height and width:  # whole squares: OpenCV is many times faster, and knows no others
        size = width // factor, height // factor
        small[: size[1], : size[0]] = cv2.resize(image[:height, :width], size, interpolation=cv2.INTER_AREA)
    if height < len(image):
        small[-1:] = _means(image[height:], factor)
    if width < image.shape[1]:
        small[:, -1:] = _means(image[:, width:], factor)
    return small


def _means(image: np.ndarray, factor: int) -> np.ndarray:
    rows, columns = (np.arange(0, length, factor) for length in image.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=0, dtype=np.uint32), columns, axis=1, dtype=np.uint32)
    counts = np.outer(
        *(
            np.minimum(starts + factor, length) - starts
            for starts, length in zip((rows, columns), image.shape[:2], strict=True)
        )
    )
    return ((sums + counts[..., None] // 2) // counts[..., None]).astype(np.uint8)
