"""From any picture of H&E tissue to its nuclei: the one call a stranger needs."""

from pathlib import Path

import numpy as np

from helpers.inference.segmentation import Segmentation, segment
from helpers.inference.symmetries import SYMMETRIES
from helpers.inference.tiles import PLAIN
from helpers.inference.trained_model import TrainedModel, choose_model
from helpers.pictures.in_memory import read_source


def predict(
    source: np.ndarray | Path | str,
    um_per_px: float | str | None = None,
    model: TrainedModel | None = None,
    device: str = "cpu",
    flips_and_turns: bool = False,
) -> Segmentation:
    """Find the nuclei of a picture: where they are, each by itself, and of which kind.

    `predict_files` writes the same into files, of whole slides too, with no more memory than a part of one takes.

    Where the image is transparent or black to its border there is no tissue and no nucleus; it warns of that, and of
    colours that are not those of H&E, or with red and blue swapped.

    Args:
        source: `(H, W, 3)` uint8, RGB, or `(H, W, 4)` RGBA, which is laid on white; or the path of a picture or slide
            that `open_picture` reads.
        um_per_px: the image's scale in micrometres a pixel: 0.25 at 40x, 0.5 at 20x; a slide's text will do. None for
            what the file says; where it says nothing, 0.25 is assumed, with a warning. A wrong one costs much.
        model: as from `load_model`; None for the shipped one.
        device: where to compute; a model given stays on its own.
        flips_and_turns: average over the eight symmetries of the square: slower by eight times, a little better.

    Returns:
        all at the size of the picture.

    Raises:
        InputError: not such an image or file, a scale outside 0.1 to 1 um/px, or more than 100 million pixels.
    """
    model = choose_model(model, device, fastest=True)
    image, um_per_px = read_source(source, um_per_px)
    return segment(model, image, um_per_px, device, SYMMETRIES if flips_and_turns else PLAIN)
