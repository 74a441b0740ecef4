"""From any H&E image to its nuclei: the one call a stranger needs."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real

import cv2
import numpy as np
import torch
from scipy.special import expit

from helpers.config import TILE_UM_PER_PX
from helpers.errors import InputError
from helpers.inference.batches import predict_probabilities
from helpers.inference.trained_model import TrainedModel, load_model, temper

SCALES = (0.1, 1.0)  # um/px; beyond, nuclei are blurs of a few pixels, or blown up from nothing
OVERLAP = 4  # neighbouring tiles share 1/4 of their side, where the nearer one counts more
BATCH = 16  # tiles at once


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
    """Find the nuclei of an image of any size.

    The image is brought to the model's scale, cut into overlapping tiles, and the probabilities are blended and brought
    back to the image's size. It takes some 20 bytes of memory a pixel at the model's scale: cut slides into regions.

    Args:
        image: `(H, W, 3)` uint8, RGB.
        um_per_px: the image's scale in micrometres a pixel: 0.25 at 40x, 0.5 at 20x. A wrong one costs much.
        model: as from `load_model`; None for the shipped one.
        device: where to compute.
        flips_and_turns: average over the eight symmetries of the square: slower by eight times, a little better.

    Returns:
        probability and mask at the size of `image`.

    Raises:
        InputError: not such an image, or a scale outside 0.1 to 1 um/px.

    Reference:
        Overlapping tiles as in Ronneberger, Fischer, Brox 2015, figure 2, doi:10.1007/978-3-319-24574-4_28.
    """
    check_image(image, um_per_px)
    model = shipped_model() if model is None else model
    if not isinstance(model, TrainedModel):
        raise InputError(f"model: expected what `helpers.load_model(PATH)` gives, found {type(model).__name__}")
    height, width = image.shape[:2]
    scale = um_per_px / model.um_per_px
    at_scale = resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
    probability = _predict_tiled(at_scale, model, device, flips_and_turns)
    probability = np.clip(resize(probability, height, width), 0, 1)
    return Segmentation(temper(probability, model.temperature), probability >= expit(model.threshold_logit))


def _predict_tiled(image: np.ndarray, model: TrainedModel, device: torch.device | str, symmetric: bool) -> np.ndarray:
    """Predict `(H, W, 3)` uint8 at the model's scale tile by tile, blended to `(H, W)` float32."""
    height, width = image.shape[:2]
    size = model.network.img_size
    # Smaller than a tile: its border is repeated, for a black frame would look like tissue.
    padding = (0, max(0, size - height), 0, max(0, size - width))
    padded = cv2.copyMakeBorder(image, *padding, cv2.BORDER_REPLICATE) if any(padding) else image
    ramp = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype(np.float32)
    window = np.minimum.outer(ramp, ramp)
    total = np.zeros(padded.shape[:2], np.float32)
    weight = np.zeros_like(total)
    places = [(row, column) for row in _starts(padded.shape[0], size) for column in _starts(padded.shape[1], size)]
    for chunk in _chunks(places, BATCH):
        tiles = np.stack([padded[row : row + size, column : column + size] for row, column in chunk])
        probabilities = predict_probabilities(model.network, tiles, device, flips_and_turns=symmetric)
        for (row, column), probability in zip(chunk, probabilities, strict=True):
            total[row : row + size, column : column + size] += window * probability
            weight[row : row + size, column : column + size] += window
    return (total / weight)[:height, :width]


def _starts(length: int, size: int) -> list[int]:
    """Give where tiles begin along one side: evenly, from end to end, overlapping by `1 / OVERLAP` at least.

    >>> _starts(256, 256), _starts(600, 256)
    ([0], [0, 172, 344])
    """
    steps = math.ceil((length - size) / (size - size // OVERLAP))
    return [round(step * (length - size) / steps) for step in range(steps + 1)] if steps else [0]


def _chunks(places: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(places), size):
        yield places[start : start + size]


def resize(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrink by area, enlarge bilinearly; pixel centres stay in place."""
    if array.shape[:2] == (height, width):
        return array
    shrinks = height <= array.shape[0] and width <= array.shape[1]
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


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


@functools.cache
def shipped_model() -> TrainedModel:
    """Load the shipped model once, and give it from then on."""
    return load_model()
