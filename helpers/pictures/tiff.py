"""TIFF of any sort that holds one colour picture: striped, tiled, a pyramid, OME-TIFF, BigTIFF; read by tifffile."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
from tifffile import PHOTOMETRIC, TiffFile, TiffPage, TiffPageSeries

from helpers.errors import InputError, in_a_line, warn
from helpers.pictures.picture import WHOLE_PIXELS, PyramidPicture
from helpers.pictures.samples import GREY, find_white, refuse_labels, to_eight_bits, to_rgb
from helpers.pictures.scale_tags import read_tiff_scales
from helpers.pictures.tiff_level import PlanarLevel, TiffLevel
from helpers.pictures.told_scale import choose_scale

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF, of both byte orders
GREYS = {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE}
COLOURS = {PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.PALETTE}
PREMULTIPLIED, STRAIGHT = 1, 2  # what an extra sample is, if it is alpha
LOOKED_AT = 1024  # rows and columns in the middle, to tell a label image from grey
AXES = {"Z": "focal planes", "T": "moments", "C": "channels", "Q": "pages", "I": "pages", "S": "channels"}


class TiffPicture(PyramidPicture):
    """A picture in a TIFF, with one InputWarning that names all that is converted.

    Args:
        path: the file.

    Raises:
        InputError: damaged, cut short, several pictures, or what only a guess would convert.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        with ExitStack() as unfinished, _complaints(self.name) as complaints:
            self._file = unfinished.enter_context(TiffFile(path))
            series = _choose_series(self.name, self._file)
            planar = _is_planar_rgb(self._file, series)
            planes = [
                [page.aspage() for page in level.pages] if planar else [level.keyframe] for level in series.levels
            ]
            pages = [first for first, *_ in planes]
            if complaints or any(_end(page) > self._file.filehandle.size for level in planes for page in level):
                cut = complaints[0] if complaints else f"{self._file.filehandle.size:,} bytes, fewer than it tells of"
                raise InputError(f"{path}: expected a whole TIFF, found it cut short or damaged ({cut}); copy it again")
            if not all(page.imagelength and page.imagewidth for page in pages):
                raise InputError(f"{path}: expected a picture in each level, found one without pixels; copy it again")
            self._check(pages[0])
            self._kind = PHOTOMETRIC.RGB if planar else pages[0].photometric
            lock = threading.Lock()
            self._levels = [TiffLevel(page, self.name, lock) for page in pages]
            if planar:
                self._levels = [PlanarLevel([TiffLevel(page, self.name, lock) for page in level]) for level in planes]
            self.sizes = [(level.height, level.width) for level in self._levels]
            self.height, self.width = self.sizes[0]
            self.um_per_px, self.scale_source = choose_scale(read_tiff_scales(self._file, pages[0]))
            notes = self._prepare(pages[0])
            unfinished.pop_all()  # it stays open
        if notes:
            warn(f"{path}: found {'; '.join(notes)}")

    def _check(self, page: TiffPage) -> None:
        """Refuse channels of which nobody knows the colour."""
        kind, extra = page.photometric, page.extrasamples
        colours = page.samplesperpixel - len(extra)
        fits = (kind in GREYS | {PHOTOMETRIC.PALETTE} and colours == 1) or (kind in COLOURS and colours == 3)
        if not fits or len(extra) > 1 or not set(extra) <= {PREMULTIPLIED, STRAIGHT} or page.imagedepth > 1:
            known = getattr(kind, "name", kind)
            raise InputError(
                f"{self.name}: expected RGB, or RGB and alpha, found {page.samplesperpixel} channels ({known}), as "
                "fluorescence, CMYK and spectra have; save the picture of H&E as RGB"
            )

    def _prepare(self, page: TiffPage) -> list[str]:
        """Decide how samples become colours; give what a person should know of it."""
        notes = []
        full = self._levels[0]
        rows, columns = ((max(0, (n - LOOKED_AT) // 2), min(n, LOOKED_AT)) for n in self.sizes[0])
        middle = full.read(rows[0], columns[0], rows[1], columns[1])  # and whatever decoder is missing says so now
        self._palette = None
        if self._kind in GREYS | {PHOTOMETRIC.PALETTE}:
            refuse_labels(self.name, middle[..., 0])
        if self._kind == PHOTOMETRIC.PALETTE:
            self._palette = (page.colormap.T >> 8).astype(np.uint8)  # (256, 3)
            notes.append("a palette of at most 256 colours: converted to RGB")
        elif self._kind in GREYS:
            notes.append(GREY)
        self._white, note = find_white(self.name, middle, 8) if full.dtype == np.uint8 else self._find_white(page)
        if note:
            notes.append(note)
        if page.extrasamples:
            notes.append("an alpha channel: what is transparent is laid on white")
        return notes

    def _find_white(self, page: TiffPage) -> tuple[float, str]:
        smallest, bits = self._levels[-1], None
        told = page.tags.valueof("MaxSampleValue")
        if match := re.search(r'SignificantBits="(\d+)"', self._file.pages.first.description):
            bits = int(match[1])
        elif told is not None and int(np.max(told)) + 1 in (2**depth for depth in range(8, 17)):
            bits = int(np.max(told)).bit_length()
        samples = smallest.read(0, 0, smallest.height, smallest.width)
        return find_white(self.name, samples[..., : smallest.channels - len(page.extrasamples)], bits)

    def read_level(self, number: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Read a rectangle of a level as RGB or RGBA."""
        level = self._levels[number]
        samples = level.read(top, left, height, width)
        if self._palette is not None:
            return self._palette[samples[..., 0]]
        pixels = to_eight_bits(samples, self._white)
        if self._kind == PHOTOMETRIC.MINISWHITE:
            pixels[..., 0] = 255 - pixels[..., 0]
        if level.page.extrasamples[:1] == (PREMULTIPLIED,):
            alpha = np.maximum(pixels[..., -1:], 1).astype(np.uint16)
            pixels[..., :-1] = np.minimum((pixels[..., :-1] * np.uint16(255) + alpha // 2) // alpha, 255)
        return to_rgb(pixels)

    def close(self) -> None:
        """Let go of the file and of what is kept of it."""
        for level in self._levels:
            level.forget()
        self._file.close()


def is_tiff(path: Path) -> bool:
    """Tell whether a file begins as TIFF or BigTIFF does."""
    with path.open("rb") as file:
        return file.read(4) in MAGIC


def has_huge_tiles(path: Path) -> bool:
    """Tell whether a TIFF has tiles that no one decodes, for want of memory for which OpenSlide ends the process."""
    with suppress(Exception), _complaints(str(path)), TiffFile(path) as file:  # other damage OpenSlide tells itself
        return any(page.is_tiled and page.tilewidth * page.tilelength > WHOLE_PIXELS for page in file.pages)
    return False


@contextmanager
def _complaints(name: str) -> Iterator[list[str]]:
    """Collect what tifffile logs of damage, such as a pyramid that ends early; what it raises becomes an InputError."""
    handler, logger = logging.Handler(logging.ERROR), logging.getLogger("tifffile")
    found: list[str] = []
    handler.emit = lambda record: found.append(record.getMessage())
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield found
    except InputError:
        raise
    except Exception as error:  # on damaged tags tifffile fails in a dozen ways
        raise InputError(
            f"{name}: expected a TIFF, found one that cannot be read ({in_a_line(error)[:160]}); copy or save it again"
        ) from None
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def _choose_series(name: str, file: TiffFile) -> TiffPageSeries:
    """Give the one picture of the file; thumbnails and labels beside it are smaller."""
    first, *others = file.series
    several = [AXES.get(axis, "pages") for axis in first.axes if axis not in "YXS"]
    if several and not _is_planar_rgb(file, first):
        found = f"{' and '.join(several)} ({' x '.join(map(str, first.shape))})"
        remedy = "save one alone, as RGB"
        if several == ["channels"]:
            remedy = "save them joined as RGB, if they are red, green and blue (ImageJ: Image, Type, RGB Color)"
        raise InputError(f"{name}: expected one picture, found {found}; {remedy}")
    if first.kind != "svs" and any(other.size * 4 > first.size for other in others):
        raise InputError(f"{name}: expected one picture, found {len(file.series)} of like size; save one alone")
    return first


def _is_planar_rgb(file: TiffFile, series: TiffPageSeries) -> bool:
    """Tell whether an OME-TIFF holds a page each of red, green and blue, by the names of its channels."""
    if series.kind != "ome" or series.axes != "CYX":
        return False
    names = re.findall(r'<(?:\w+:)?Channel\s[^>]*?\bName="([^"]*)"', file.ome_metadata)
    return [name.lower() for name in names] in (["red", "green", "blue"], ["r", "g", "b"])


def _end(page: TiffPage) -> int:
    """Give where the data of a page end in the file."""
    return max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
