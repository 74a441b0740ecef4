"""One image for a clinician: nuclei, how sure the network is of each, what it looked at, and a sentence of numbers."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.special import expit

from helpers.config import TILE_UM_PER_PX
from helpers.devices import on_device
from helpers.errors import InputError
from helpers.explanation.faithfulness import make_map
from helpers.inference.batches import SYMMETRIES, spread
from helpers.inference.picture import check_picture, compose, fill_outside, warn_about
from helpers.inference.predict import choose_model, predict_logits, resize, size_at_scale
from helpers.inference.trained_model import TrainedModel
from helpers.normalization import normalize

SURE = 0.8  # mean probability, at the model's temperature, from which a nucleus is drawn as sure
LARGEST = 1024  # pixels a side at the model's scale: a map needs gradients, and with them some 8 kB a pixel


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
    um_per_px: float | str = TILE_UM_PER_PX,
    model: TrainedModel | None = None,
    device: torch.device | str = "cpu",
) -> Examination:
    """Examine an image with the shipped model, or another: eight predictions and one map.

    Args:
        image: as for `predict`, up to `LARGEST` pixels a side at the model's scale.
        um_per_px: as for `predict`.
        model: as from `load_model`; None for the shipped one.
        device: where to predict; the map is computed on the CPU.

    Returns:
        what `overlays.plot_examination` draws.

    Raises:
        InputError: as `predict`, or an image that is too large.
    """
    um_per_px = check_picture(image, um_per_px)
    model = choose_model(model, device)
    at_scale = _checked_size(image, um_per_px, model)
    warn_about(image)
    logits = [predict_logits(model, image, um_per_px, device, (symmetry,)) for symmetry in SYMMETRIES]
    averaged = np.mean(logits, axis=0)
    mask, probability = averaged >= model.threshold_logit, expit(averaged / model.temperature)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    pixels = np.maximum(1, np.bincount(labels.ravel(), minlength=count))
    are_sure = np.bincount(labels.ravel(), probability.ravel(), count) / pixels >= SURE
    are_sure[0] = False  # the background
    return Examination(
        image=compose(image),
        um_per_px=um_per_px,
        probability=probability,
        spread=spread(map(expit, logits)),
        mask=mask,
        sure=are_sure[labels],
        attention=_attention(image, mask, at_scale, model),
        attention_name=model.attention,
        nuclei=count - 1,
        unsure=count - 1 - int(are_sure.sum()),
    )


def _checked_size(image: np.ndarray, um_per_px: float, model: TrainedModel) -> tuple[int, int]:
    """Give height and width at the model's scale; refuse what is too large for a map before anything is computed."""
    height, width = size_at_scale(image, um_per_px, model)
    if max(height, width) > LARGEST:
        raise InputError(
            f"image: expected at most {LARGEST} pixels a side at the model's {model.um_per_px} um/px, found {height} x "
            f"{width}; cut it into regions"
        )
    return height, width


def _attention(image: np.ndarray, mask: np.ndarray, at_scale: tuple[int, int], model: TrainedModel) -> np.ndarray:
    region = torch.from_numpy(resize(mask.astype(np.float32), *at_scale) >= 0.5)
    tissue, outside = fill_outside(image)
    batch = normalize(resize(tissue, *at_scale)[None])
    heat = make_map(on_device(model.network, "cpu"), batch, region, model.attention)
    return np.where(outside, 0, np.clip(resize(heat, *mask.shape), 0, 1))
