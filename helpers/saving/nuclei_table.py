"""The nuclei of a picture as a table, written as they come, and how many there are of each kind."""

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from helpers.files import written_whole

# The columns, as `predict` tells them of each nucleus, and to how many decimals they mean something; None for text.
DECIMALS = {
    **{"id": 0, "x": 2, "y": 2, "area_um2": 2, "kind": None, "confidence": 4},
    **{"left": 0, "top": 0, "right": 0, "bottom": 0},
}


class NucleiTable:
    """A table in the making; `write_nuclei` opens and closes one."""

    def __init__(self, file: TextIO) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(DECIMALS)

    def add(self, nuclei: np.ndarray) -> None:
        """Write the rows of nuclei, `(n,)` structured as `predict` gives them."""
        columns = [
            nuclei[name].round(decimals).tolist() if decimals else nuclei[name].tolist()
            for name, decimals in DECIMALS.items()
        ]
        self._writer.writerows(zip(*columns, strict=True))


@contextmanager
def write_nuclei(path: Path) -> Iterator[NucleiTable]:
    """Write a CSV table of nuclei, whole or not at all: a header, then a row for each.

    Args:
        path: where to.

    Yields:
        what takes the nuclei, by its method `add`.

    Raises:
        OSError: the file cannot be written, as where the disk is full; nothing of it is left then.
    """
    with written_whole(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        yield NucleiTable(file)


def summarise(counts: Mapping[str, int], tissue_mm2: float) -> list[dict[str, str | int | float | None]]:
    """Give the numbers of nuclei by kind and to the square millimetre of tissue, the commonest kind first, all last.

    Args:
        counts: number of nuclei by kind.
        tissue_mm2: area of the tissue that was found, square millimetres.

    Returns:
        rows with "kind", "nuclei", "share" of all, 0 to 1, and "per_mm2"; None where there is nothing to divide by.

    >>> for row in summarise({"Epithelial": 30, "Inflammatory": 90}, 0.05):
    ...     print(*row.values())
    Inflammatory 90 0.75 1800.0
    Epithelial 30 0.25 600.0
    all 120 1.0 2400.0
    """
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        {
            "kind": kind,
            "nuclei": count,
            "share": count / total if total else None,
            "per_mm2": count / tissue_mm2 if tissue_mm2 > 0 else None,
        }
        for kind, count in [*ordered, ("all", total)]
    ]
