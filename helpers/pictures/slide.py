"""Whole slides, read by OpenSlide: every vendor's format that it knows."""

import threading
from pathlib import Path

import numpy as np
import openslide

from helpers.errors import InputError, in_a_line
from helpers.paths import to_number
from helpers.pictures.picture import PyramidPicture, compose
from helpers.pictures.told_scale import Told, choose_scale

BOUNDS = (
    openslide.PROPERTY_NAME_BOUNDS_Y,
    openslide.PROPERTY_NAME_BOUNDS_X,
    openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
    openslide.PROPERTY_NAME_BOUNDS_WIDTH,
)


class SlidePicture(PyramidPicture):
    """A slide. Where its scanner tells which part it scanned (MIRAX), the picture is that part, as it is in QuPath.

    What was not scanned is transparent black to OpenSlide; here it is white, as glass is.

    Args:
        path: the file.

    Raises:
        openslide.OpenSlideError: OpenSlide does not open it.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._slide = openslide.OpenSlide(path)
        self._lock = threading.Lock()
        self._failure = ""
        properties = self._slide.properties
        width, height = self._slide.dimensions
        bounds = [to_number(properties.get(name)) for name in BOUNDS]
        cropped = np.isfinite(bounds).all()
        self._top, self._left, self.height, self.width = map(int, bounds) if cropped else (0, 0, height, width)
        self.sizes = [
            (max(1, round(self.height * rows / height)), max(1, round(self.width * columns / width)))
            for columns, rows in self._slide.level_dimensions
        ]
        keys = (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y)
        told = (
            [Told(*(to_number(properties.get(key)) for key in keys), "the slide's mpp")]
            if keys[0] in properties
            else []
        )
        self.um_per_px, self.scale_source = choose_scale(told)

    def read_level(self, number: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Read a rectangle of a level as RGB."""
        rows, columns = (whole / part for whole, part in zip(self.sizes[0], self.sizes[number], strict=True))
        place = self._left + round(left * columns), self._top + round(top * rows)
        try:
            region = self._slide.read_region(place, number, (width, height))
        except openslide.OpenSlideError as error:
            with self._lock:  # OpenSlide repeats its first error for every later region
                self._failure = self._failure or (
                    f"{self.name}: expected a whole slide, found it damaged in the {height:,} x {width:,} pixels from "
                    f"row {top:,} and column {left:,} of level {number} ({in_a_line(error)[:160]}); copy it again"
                )
            raise InputError(self._failure) from None
        return compose(np.asarray(region))

    def close(self) -> None:
        """Let go of the slide."""
        self._slide.close()
