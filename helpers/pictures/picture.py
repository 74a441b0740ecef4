"""A picture of any size, read by rectangles: what every reader gives, and an array in memory, the simplest one."""

from abc import ABC, abstractmethod

import numpy as np

from helpers.pictures.checks import compose


class Picture(ABC):
    """A picture that is read by rectangles, so that a slide takes no more memory than a tile.

    Attributes:
        name: what messages call it, such as its path.
        height: rows, at its full size.
        width: columns.
        um_per_px: its scale in micrometres a pixel as the file tells it, checked to be one of a microscope; or None.
        scale_source: where that comes from, such as "OME's PhysicalSizeX"; "" without one.
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
        return np.concatenate(
            [shrink_area(compose(self.image[top : top + factor]), factor) for top in range(0, self.height, factor)]
        )


def shrink_area(image: np.ndarray, factor: int) -> np.ndarray:
    """Shrink `(H, W, 3)` uint8 by the mean over squares of `factor` pixels; at the border those count that are there.

    >>> shrink_area(np.array([[[0] * 3, [200] * 3, [90] * 3]], np.uint8), 2)[..., 0].tolist()
    [[100, 90]]
    """
    rows, columns = (np.arange(0, length, factor) for length in image.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=0, dtype=np.uint32), columns, axis=1, dtype=np.uint32)
    counts = np.outer(
        *(
            np.minimum(starts + factor, length) - starts
            for starts, length in zip((rows, columns), image.shape[:2], strict=True)
        )
    )
    return ((sums + counts[..., None] // 2) // counts[..., None]).astype(np.uint8)
