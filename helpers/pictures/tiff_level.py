"""One level of a TIFF, read by rectangles: only the tiles or strips that a rectangle touches are decoded."""

import threading
from functools import lru_cache

import cv2
import numpy as np
from tifffile import COMPRESSION, PHOTOMETRIC, TiffPage

from helpers.errors import InputError, in_a_line
from helpers.pictures.picture import WHOLE_PIXELS

CACHE_BYTES = 2**26  # of decoded tiles or strips that a level keeps: neighbouring rectangles share them
APERIO_YCBCR = 33003  # JPEG 2000 whose decoder gives YCbCr; others write RGB by this number, and the decoder gives RGB
JPEG = {COMPRESSION.OJPEG, COMPRESSION.JPEG, 34892, 33007}  # whose decoder gives RGB, also of YCbCr


class TiffLevel:
    """A page of a TIFF, as its samples are: `(rows, columns, channels)` of the file's type, YCbCr as RGB.

    Args:
        page: its page, checked to be one picture in 2D.
        name: names the file in messages.
        lock: held while the file is read, for all levels share its place in it.

    Raises:
        InputError: its strips are too large to be decoded.
    """

    def __init__(self, page: TiffPage, name: str, lock: threading.Lock) -> None:
        self.page, self.name, self._lock = page, name, lock
        self.height, self.width = page.imagelength, page.imagewidth
        self.dtype, self.channels = page.dtype, page.samplesperpixel
        self._planes = self.channels if page.planarconfig == 2 else 1
        strip = min(page.rowsperstrip or self.height, self.height)
        self.segment = (page.tilelength, page.tilewidth) if page.is_tiled else (strip, self.width)
        self._grid = [-(-whole // part) for whole, part in zip((self.height, self.width), self.segment, strict=True)]
        # Not compressed and in one piece: the system reads what is asked for.
        self._mapped = (
            page.asarray(out="memmap").reshape(page.shaped[0], *page.shaped[2:]) if page.is_memmappable else None
        )
        pixels = self.segment[0] * self.segment[1]
        if self._mapped is None and pixels > WHOLE_PIXELS:
            raise InputError(
                f"{name}: expected tiles or strips of at most {WHOLE_PIXELS:,} pixels, for each is decoded whole, "
                f"found {pixels:,}; save it as tiled TIFF (vips tiffsave IN OUT.tif --tile --pyramid)"
            )
        size = max(1, pixels * self.channels // self._planes * self.dtype.itemsize)
        self._decoded = lru_cache(max(1, CACHE_BYTES // size))(self._decode)
        by_aperio = page.compression == APERIO_YCBCR and page.description.startswith("Aperio")
        by_name = page.photometric == PHOTOMETRIC.YCBCR and page.compression not in JPEG
        self._convert = (by_aperio or by_name) and self.channels == 3

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Read a rectangle that lies within, `(height, width, channels)`; an InputError where it is damaged."""
        if self._mapped is not None:
            part = np.moveaxis(self._mapped[:, top : top + height, left : left + width], 0, 2)
            samples = np.array(part.reshape(height, width, self.channels), self.dtype.newbyteorder("="))
        else:
            samples = np.empty((height, width, self.channels), self.dtype.newbyteorder("="))
            rows, columns = (
                range(start // side, -(-(start + length) // side))
                for start, length, side in zip((top, left), (height, width), self.segment, strict=True)
            )
            for plane in range(self._planes):
                out = samples[..., plane : plane + 1] if self._planes > 1 else samples
                for row in rows:
                    for column in columns:
                        y, x = row * self.segment[0] - top, column * self.segment[1] - left  # within the rectangle
                        target = out[max(y, 0) : y + self.segment[0], max(x, 0) : x + self.segment[1]]
                        source = self._decoded((plane * self._grid[0] + row) * self._grid[1] + column)
                        target[:] = source[max(-y, 0) :, max(-x, 0) :][: target.shape[0], : target.shape[1]]
        if self._convert:
            return cv2.cvtColor(samples[..., [0, 2, 1]], cv2.COLOR_YCrCb2RGB)
        return samples

    def forget(self) -> None:
        """Let go of what is kept."""
        self._decoded.cache_clear()
        self._mapped = None

    def _decode(self, index: int) -> np.ndarray:
        """Decode a tile or a strip, `(rows, columns, channels of the plane)`; one that the file leaves out is white."""
        page, shape = self.page, (*self.segment, self.channels // self._planes)
        try:
            with self._lock:
                page.parent.filehandle.seek(page.dataoffsets[index])
                data = page.parent.filehandle.read(page.databytecounts[index])
            if not data:
                return np.full(shape, np.iinfo(self.dtype).max if self.dtype.kind == "u" else 1, self.dtype)
            return page.decode(data, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader)[0][0]
        except Exception as error:  # tifffile and the codecs fail in a dozen ways
            row, column = (index // self._grid[1] % self._grid[0]), index % self._grid[1]
            raise InputError(
                f"{self.name}: expected a whole TIFF, found pixels that cannot be decoded, from row "
                f"{row * self.segment[0]:,} and column {column * self.segment[1]:,} on "
                f"({page.compression!r}: {in_a_line(error)[:160]}); copy or save it again"
            ) from None


class PlanarLevel:
    """Several pages of one size that hold a channel each, as one level.

    Args:
        planes: red, green and blue.
    """

    def __init__(self, planes: list[TiffLevel]) -> None:
        self._planes, first = planes, planes[0]
        self.page, self.height, self.width, self.dtype = first.page, first.height, first.width, first.dtype
        self.channels = len(planes)

    def read(self, *place: int) -> np.ndarray:
        """Read a rectangle of all, `(height, width, channels)`."""
        return np.concatenate([plane.read(*place) for plane in self._planes], axis=2)

    def forget(self) -> None:
        """Let go of what is kept."""
        for plane in self._planes:
            plane.forget()
