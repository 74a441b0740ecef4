"""Small slides and TIFFs for the tests of reading."""

from pathlib import Path

import numpy as np
import tifffile

from helpers.pictures.picture import PyramidPicture

APERIO = "Aperio Image Library v12.0.15\r\n500x300 (64x64) Q=70|AppMag = 40|MPP = 0.2500"


def noise(height: int = 150, width: int = 203, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels)).astype(np.uint8)


def smooth(height: int = 150, width: int = 203) -> np.ndarray:
    """Colours that lossy compression keeps to a few levels."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([100 + rows * 100 // height, 80 + columns * 100 // width, 220 - rows * 60 // height]).astype(
        np.uint8
    )


def halved(image: np.ndarray) -> np.ndarray:
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2].astype(np.uint16)
    return ((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2] + 2) // 4).astype(image.dtype)


def write_pyramid(path: Path, image: np.ndarray, levels: int = 3, **options: object) -> list[np.ndarray]:
    """Write tiles of 64 pixels, each level half as large as the one before, and give the levels."""
    options = {"photometric": "rgb", "tile": (64, 64), "metadata": None} | options
    written = [image]
    with tifffile.TiffWriter(path, bigtiff=bool(options.pop("bigtiff", False))) as file:
        file.write(image, **options)
        for _ in range(levels - 1):
            written.append(halved(written[-1]))
            # Aperio's pages bear no mark; elsewhere a smaller copy says that it is one.
            file.write(written[-1], subfiletype=0 if "description" in options else 1, **options)
    return written


def write_aperio(path: Path, image: np.ndarray, **options: object) -> None:
    write_pyramid(path, image, description=APERIO, **options)


def write_ome(path: Path, image: np.ndarray, levels: int = 3, **sizes: object) -> None:
    """Write an OME-TIFF pyramid; `sizes` go into its Pixels, such as PhysicalSizeX."""
    options = {"photometric": "rgb", "tile": (64, 64)}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(image, subifds=levels - 1, metadata={"axes": "YXS", **sizes}, **options)
        for _ in range(levels - 1):
            image = halved(image)
            file.write(image, subfiletype=1, **options)


class SmallCopies(PyramidPicture):
    """A pale slide whose copies, a quarter and a sixteenth as large, may be read, but never its full size."""

    name = "slide"

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.sizes = [(height // part, width // part) for part in (1, 4, 16)]

    def read_level(self, number: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        assert number > 0, "the full size was read"
        return np.full((height, width, 3), 200, np.uint8)
