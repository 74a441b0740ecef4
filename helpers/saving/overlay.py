"""A picture with the outlines of its nuclei in the colours of their kinds."""

from pathlib import Path

import cv2
import numpy as np

from helpers.files import written_whole
from helpers.pictures.picture import Picture
from helpers.saving.colours import kind_colour

LARGEST = 25_000_000  # pixels of an overlay; larger pictures are shrunk
LINE = 2  # pixels of the picture; a line of one is lost on tissue of its colour


class Overlay:
    """An overlay in the making.

    Args:
        picture: what to draw on; read once, shrunk if it has more than `LARGEST` pixels.

    Attributes:
        image: `(h, w, 3)` uint8, RGB.
        factor: how many pixels of the picture make one of the image, along each side; a power of two.
    """

    def __init__(self, picture: Picture) -> None:
        self.factor = 1
        while picture.height * picture.width > LARGEST * self.factor**2:
            self.factor *= 2  # as the levels of slides are: for any other factor the full size would have to be read
        self.image = np.array(picture.shrink(self.factor))

    def add(self, labels: np.ndarray, nuclei: np.ndarray, top: int = 0, left: int = 0) -> None:
        """Draw the outlines of nuclei, on their own `LINE` outermost pixels.

        Args:
            labels: `(h, w)` integers, a crop of the picture's label map that holds these nuclei whole.
            nuclei: `(n,)` structured array, their rows as `predict` gives them.
            top: row of the picture where the crop begins.
            left: column where it begins.
        """
        edges = np.ones(labels.shape, np.uint8)  # of the crop too: nuclei in it are whole
        edges[1:-1, 1:-1] = 0
        for low, high in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
            differ = labels[low] != labels[high]
            edges[low] |= differ
            edges[high] |= differ
        edges = cv2.dilate(edges, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), iterations=LINE - 1)
        rows, columns = np.nonzero(edges & (labels > 0))
        if len(rows) == 0:
            return
        order = np.argsort(nuclei["id"])
        kinds, which = np.unique(nuclei["kind"][order], return_inverse=True)
        colours = np.array([kind_colour(kind) for kind in kinds], np.uint8)[which]
        drawn = colours[np.searchsorted(nuclei["id"][order], labels[rows, columns])]
        self.image[(rows + top) // self.factor, (columns + left) // self.factor] = drawn

    def save(self, path: Path) -> None:
        """Write the image as PNG, whole or not at all; an OSError where that fails."""
        write_png(path, self.image)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write `(h, w, 3)` uint8, RGB, as PNG, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    # Encoded in memory: OpenCV's own writer knows no names beyond ASCII on Windows, and tells no reason when it fails.
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    with written_whole(path) as temporary:
        temporary.write_bytes(encoded)
