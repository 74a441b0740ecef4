"""One image for a clinician: nuclei, how sure the network is of each, what it looked at, and a sentence of numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.special import expit

from helpers.config import TILE_UM_PER_PX
from helpers.devices import on_device
from helpers.explanation.tiled_map import make_tiled_map
from helpers.inference.batches import SYMMETRIES, spread
from helpers.inference.predict import check_image, choose_model, predict_logits, resize, size_at_scale
from helpers.inference.trained_model import TrainedModel

SURE = 0.8  # mean probability, at the model's temperature, from which a nucleus is drawn as sure
ROWS = 256  # summed up at once


@dataclass(frozen=True)
class Examination:
    """What there is to say of one image.

    Attributes:
        image: `(H, W, 3)` uint8.
        um_per_px: its scale.
        probability: `(H, W)` float32, of the logit's mean over flips and turns, at the model's temperature.
        spread: `(H, W)` float32, standard deviation of the probability over flips and turns, as the network gives it.
        mask: `(H, W)` bool, the nuclei.
        sure: `(H, W)` bool, those of them whose mean probability is `SURE` or more.
        attention: `(H, W)` float32, 0 to 1, for the logits of all nuclei; zero without any.
        attention_name: which map that is.
        nuclei: number of nuclei; those that touch count as one.
        unsure: how many of them are not sure.
    """

    image: np.ndarray
    um_per_px: float
    probability: np.ndarray
    spread: np.ndarray
    mask: np.ndarray
    sure: np.ndarray
    attention: np.ndarray
    attention_name: str
    nuclei: int
    unsure: int

    def describe(self) -> str:
        """Say in one sentence how much of the image is nuclei and how sure that is."""
        if not self.nuclei:
            return "No nuclei were found in this image."
        area = self.mask.sum() * self.um_per_px**2
        return (
            f"{self.nuclei} nuclei (touching ones counted as one) cover {area:,.0f} µm², {self.mask.mean():.1%} of the "
            f"image, with a mean confidence of {self.probability[self.mask].mean():.2f}; {self.unsure} of them, drawn "
            f"dashed, stay below {SURE}."
        )


def examine(
    image: np.ndarray,
    um_per_px: float = TILE_UM_PER_PX,
    model: TrainedModel | None = None,
    device: torch.device | str = "cpu",
) -> Examination:
    """Examine an image of any size with the shipped model, or another: eight predictions and one map, tile by tile.

    It takes some 40 bytes of memory a pixel, of the image or at the model's scale, beside what a tile takes: cut slides
    into regions. `tiled_map.make_tiled_map` says how the maps of tiles become one.

    Args:
        image: `(H, W, 3)` uint8, RGB.
        um_per_px: the image's scale in micrometres a pixel: 0.25 at 40x, 0.5 at 20x.
        model: as from `load_model`; None for the shipped one.
        device: where to predict; the map is computed on the CPU.

    Returns:
        what `overlays.plot_examination` draws.

    Raises:
        InputError: as `predict`.
    """
    check_image(image, um_per_px)
    model = choose_model(model, device)
    logits = np.zeros(image.shape[:2], np.float32)

    def predict_turned(symmetry: tuple[int, bool]) -> np.ndarray:
        turned = predict_logits(model, image, um_per_px, device, (symmetry,))
        np.add(logits, turned, out=logits)
        return expit(turned, out=turned)

    deviation = spread(map(predict_turned, SYMMETRIES))  # one after the other, never all eight in memory
    logits /= len(SYMMETRIES)
    mask = logits >= model.threshold_logit
    logits /= model.temperature
    probability = expit(logits, out=logits)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    sums, pixels = np.zeros(count), np.zeros(count)
    for some, of_some in zip(_in_rows(labels), _in_rows(probability), strict=True):
        sums += np.bincount(some, of_some, count)
        pixels += np.bincount(some, minlength=count)
    are_sure = sums / np.maximum(1, pixels) >= SURE
    are_sure[0] = False  # the background
    return Examination(
        image=image,
        um_per_px=um_per_px,
        probability=probability,
        spread=deviation,
        mask=mask,
        sure=are_sure[labels],
        attention=_attention(image, mask, size_at_scale(image, um_per_px, model), model),
        attention_name=model.attention,
        nuclei=count - 1,
        unsure=count - 1 - int(are_sure.sum()),
    )


def _in_rows(values: np.ndarray) -> Iterator[np.ndarray]:
    """Give `(H, W)` in strips, flattened: counting takes 16 bytes a pixel more."""
    return (values[start : start + ROWS].ravel() for start in range(0, len(values), ROWS))


def _attention(image: np.ndarray, mask: np.ndarray, at_scale: tuple[int, int], model: TrainedModel) -> np.ndarray:
    region = resize(mask.astype(np.float32), *at_scale) >= 0.5
    heat = make_tiled_map(on_device(model.network, "cpu"), resize(image, *at_scale), region, model.attention)
    return np.clip(resize(heat, *mask.shape), 0, 1)
