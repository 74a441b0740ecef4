"""From any H&E image to its nuclei: the one call a stranger needs."""

from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from scipy.special import expit

from helpers.config import TILE_UM_PER_PX
from helpers.errors import InputError
from helpers.inference.batches import SYMMETRIES
from helpers.inference.trained_model import TrainedModel, shipped_model
from helpers.inference.whole_image import PLAIN, predict_logits

SCALES = (0.1, 1.0)  # um/px; beyond, nuclei are blurs of a few pixels, or blown up from nothing


@dataclass(frozen=True)
class Segmentation:
    """Where nuclei are.

    Attributes:
        probability: `(H, W)` float32, probability of nucleus, 0 to 1, at the model's temperature.
        mask: `(H, W)` bool, where its logit reaches the model's threshold.
    """

    probability: np.ndarray
    mask: np.ndarray


def predict(
    image: np.ndarray,
    um_per_px: float = TILE_UM_PER_PX,
    model: TrainedModel | None = None,
    device: torch.device | str = "cpu",
    flips_and_turns: bool = False,
) -> Segmentation:
    """Find the nuclei of an image of any size, as `whole_image.predict_logits` does.

    It takes some 20 bytes of memory a pixel at the model's scale: cut slides into regions.

    Args:
        image: `(H, W, 3)` uint8, RGB.
        um_per_px: the image's scale in micrometres a pixel: 0.25 at 40x, 0.5 at 20x. A wrong one costs much.
        model: as from `load_model`; None for the shipped one.
        device: where to compute; a model given stays on its own.
        flips_and_turns: average over the eight symmetries of the square: slower by eight times, a little better.

    Returns:
        probability and mask at the size of `image`.

    Raises:
        InputError: not such an image, or a scale outside 0.1 to 1 um/px.
    """
    check_image(image, um_per_px)
    model = shipped_model(str(device)) if model is None else model
    if not isinstance(model, TrainedModel):
        raise InputError(f"model: expected what `helpers.load_model(PATH)` gives, found {type(model).__name__}")
    logits = predict_logits(model, image, um_per_px, device, SYMMETRIES if flips_and_turns else PLAIN)
    return Segmentation(expit(logits / model.temperature), logits >= model.threshold_logit)


def check_image(image: np.ndarray, um_per_px: float) -> None:
    """Refuse anything but an RGB image `(H, W, 3)` uint8 and a scale within `SCALES`, with an InputError."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(
            f"image: expected an RGB array (H, W, 3) uint8, found {found}; convert it, without an alpha channel "
            "(OpenCV gives None for a file that it does not find)"
        )
    if image.size == 0:
        raise InputError(f"image: expected at least one pixel, found {image.shape}")
    if not isinstance(um_per_px, Real) or not SCALES[0] <= um_per_px <= SCALES[1]:
        raise InputError(
            f"um_per_px: expected {SCALES[0]} to {SCALES[1]} micrometres a pixel (0.25 at 40x, 0.5 at 20x), "
            f"found {um_per_px!r}; resample the image, or look up its scale in the slide's properties"
        )
