"""Nuclei as GeoJSON that QuPath opens: one detection each, written as they come.

What QuPath's reader asks for, by its source from v0.4 on: an id that is a UUID; a polygon or several, in pixels of the
full size; a classification with a name and a colour; measurements as an object of numbers. It may read text in whatever
encoding the computer is set to, so all is written in ASCII. It opens `.geojson.gz` too.
"""

import gzip
import io
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from helpers.files import written_whole
from helpers.saving.colours import UNTOLD, kind_colour
from helpers.saving.polygons import trace_outlines

LEVEL = 6  # of compression
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=np.ndarray.tolist).encode


class GeoJson:
    """A FeatureCollection in the making; `write_geojson` opens and closes one.

    Args:
        file: to write to.
        picture: what the nuclei's UUIDs are made of, beside their numbers.
    """

    def __init__(self, file: TextIO, picture: str) -> None:
        self._file, self._separator = file, "\n"
        self._namespace = uuid.uuid5(uuid.NAMESPACE_URL, picture)

    def add(self, labels: np.ndarray, nuclei: np.ndarray, top: int = 0, left: int = 0) -> None:
        """Write the nuclei of a crop.

        Args:
            labels: `(h, w)` integers, a crop of the picture's label map that holds these nuclei whole.
            nuclei: `(n,)` structured array, their rows as `predict` gives them.
            top: row of the picture where the crop begins.
            left: column where it begins.
        """
        outlines = trace_outlines(labels, top, left)
        columns = (nuclei[name].tolist() for name in ("id", "kind", "area_um2", "confidence"))
        for number, kind, area, confidence in zip(*columns, strict=True):
            polygons = outlines[number]
            several = len(polygons) > 1
            feature = {
                "type": "Feature",
                "id": str(uuid.uuid5(self._namespace, str(number))),
                "geometry": {
                    "type": "MultiPolygon" if several else "Polygon",
                    "coordinates": polygons if several else polygons[0],
                },
                "properties": {
                    "objectType": "detection",
                    # QuPath refuses an object without a name
                    "classification": {"name": kind or UNTOLD, "color": kind_colour(kind)},
                    "measurements": {
                        "Nucleus number": number,
                        "Area µm^2": round(area, 2),
                        "Confidence": round(confidence, 4),
                    },
                },
            }
            self._file.write(self._separator + _encode(feature))
            self._separator = ",\n"


@contextmanager
def write_geojson(path: Path, picture: str) -> Iterator[GeoJson]:
    """Write a GeoJSON file nucleus by nucleus, whole or not at all.

    Args:
        path: where to; compressed if it ends in `.gz`.
        picture: a text that stays the same when the picture is predicted again, and is another's for no other, such as
            its file name and size: UUIDs are made of it and of the nuclei's numbers.

    Yields:
        what takes the nuclei, by its method `add`.

    Raises:
        OSError: the file cannot be written, as where the disk is full; nothing of it is left then.
    """
    with written_whole(path) as temporary, _open(temporary) as file:
        file.write('{"type":"FeatureCollection","features":[')
        yield GeoJson(file, picture)
        file.write("\n]}\n")


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    """Open a file for text, compressed as its name says; the same text gives the same bytes."""
    if path.suffix != ".gz":
        with open(path, "w", encoding="ascii") as file:
            yield file
        return
    with (
        open(path, "wb") as raw,
        gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="ascii") as file,
    ):
        yield file
