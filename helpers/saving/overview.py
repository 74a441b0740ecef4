"""How dense the nuclei of a picture lie, by kind: counted on a coarse grid, so that a slide takes no more memory."""

import math

import cv2
import numpy as np

SMOOTH_UM = 50.0  # micrometres, standard deviation: nuclei within some 100 um make the density of a place
FINEST = 8  # cells to `SMOOTH_UM`: smaller ones would show nothing more
MOST_CELLS = 640  # along the longer side


class Overview:
    """Counts nuclei in the cells of a grid as they come.

    Args:
        height: rows of the picture.
        width: its columns.
        um_per_px: its scale.

    Attributes:
        cell: side of a cell in pixels of the picture; the last row and column may be cut.
        counts: `(rows, columns)` int32 by kind, the number of nuclei whose centroid lies in each cell.
    """

    def __init__(self, height: int, width: int, um_per_px: float) -> None:
        self.height, self.width, self.um_per_px = height, width, um_per_px
        self.cell = max(math.ceil(max(height, width) / MOST_CELLS), int(SMOOTH_UM / um_per_px / FINEST))
        self.counts: dict[str, np.ndarray] = {}
        self._shape = math.ceil(height / self.cell), math.ceil(width / self.cell)

    def add(self, nuclei: np.ndarray) -> None:
        """Count nuclei, `(n,)` structured as `predict` gives them."""
        # Half a pixel on: centroids count from the first pixel's centre, cells from its corner.
        rows, columns = (((nuclei[name] + 0.5) // self.cell).astype(int) for name in ("y", "x"))
        for kind in np.unique(nuclei["kind"]).tolist():
            chosen = nuclei["kind"] == kind
            cells = self.counts.setdefault(kind, np.zeros(self._shape, np.int32))
            np.add.at(cells, (rows[chosen], columns[chosen]), 1)

    def totals(self) -> dict[str, int]:
        """Give the number of nuclei by kind, the commonest first."""
        totals = {kind: int(cells.sum()) for kind, cells in self.counts.items()}
        return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))

    def densities(self) -> dict[str, np.ndarray]:
        """Give for each kind its nuclei per square millimetre, `(rows, columns)` float64, smoothed by `SMOOTH_UM`.

        Only area within the picture counts, so nuclei do not seem to thin out towards its border.
        """
        heights, widths = (
            np.diff(np.minimum(np.arange(cells + 1) * self.cell, length))
            for cells, length in zip(self._shape, (self.height, self.width), strict=True)
        )
        area = self._smooth(np.outer(heights, widths) * (self.um_per_px / 1000) ** 2)
        return {kind: self._smooth(cells.astype(np.float64)) / area for kind, cells in self.counts.items()}

    def _smooth(self, cells: np.ndarray) -> np.ndarray:
        sigma = SMOOTH_UM / self.um_per_px / self.cell
        return cv2.GaussianBlur(cells, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
