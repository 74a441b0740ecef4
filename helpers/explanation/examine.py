"""One image for a clinician: nuclei, how sure the network is of each, what it looked at, and a sentence of numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.special import expit

from helpers.devices import on_device
from helpers.explanation.faithfulness import OCCLUSION, make_map
from helpers.explanation.grad_cam import (
    METHODS,
    attention_layers,
    captured,
    combine_channels,
    evaluating,
    layer_gradients,
)
from helpers.explanation.occlusion import occlusion_losses
from helpers.inference.batches import spread
from helpers.inference.segmentation import predict_logits
from helpers.inference.symmetries import SYMMETRIES
from helpers.inference.tiles import resize, size_at_scale, tile_places, tile_window
from helpers.inference.trained_model import TrainedModel, check_gradients, choose_model
from helpers.model import EfficientNetSegmentation
from helpers.normalization import normalize
from helpers.pictures.in_memory import read_source
from helpers.pictures.outside import fill_outside
from helpers.pictures.picture import compose

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
    source: np.ndarray | Path | str,
    um_per_px: float | str | None = None,
    model: TrainedModel | None = None,
    device: torch.device | str = "cpu",
) -> Examination:
    """Examine an image of any size with the shipped model, or another: eight predictions and one map, tile by tile.

    It takes some 40 bytes of memory a pixel, of the image or at the model's scale, beside what a tile takes: cut slides
    into regions. `make_tiled_map` says how the maps of tiles become one.

    Args:
        source: as for `predict`.
        um_per_px: as for `predict`.
        model: as from `load_model`; None for the shipped one.
        device: where to predict; the map is computed on the CPU.

    Returns:
        what `overlays.plot_examination` draws.

    Raises:
        InputError: as `predict`, and for a model of an `.onnx` file, which no gradient passes.
    """
    image, um_per_px = read_source(source, um_per_px)
    model = choose_model(model, device)
    check_gradients(model)
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
        image=compose(image),
        um_per_px=um_per_px,
        probability=probability,
        spread=deviation,
        mask=mask,
        sure=are_sure[labels],
        attention=_attention(image, mask, size_at_scale(image.shape[:2], um_per_px, model), model),
        attention_name=model.attention,
        nuclei=count - 1,
        unsure=count - 1 - int(are_sure.sum()),
    )


def make_tiled_map(network: EfficientNetSegmentation, image: np.ndarray, region: np.ndarray, name: str) -> np.ndarray:
    """Compute one map of an image of any size; that of an image within a tile is `faithfulness.make_map`'s.

    Tiles lie and overlap as those of `predict_logits`, and their maps are blended by the same weights. No tile is
    scaled by itself, which would make its hottest spot as hot as every other tile's and show seams: the blended map is
    scaled once, to a maximum of 1. For that the tiles must speak in one unit. Occlusion's are logits. Those of Grad-CAM
    are channels, whose weights are the mean over all tiles, each pixel of the region counted once: for Grad-CAM itself
    what the mean gradient over the whole image is, as far as the network sees no further than a tile. (Grad-CAM++'s
    alpha takes the sum of the activations of one tile, as where its maps are tested.) So a tile is dark where nothing
    in it speaks for nuclei as much as elsewhere, and seams are left where the features themselves change near the
    border of a tile.

    Args:
        network: on the CPU; it is left as it was found.
        image: `(H, W, 3)` uint8, RGB, at the network's scale.
        region: `(H, W)` bool, as in `grad_cams`.
        name: which map, as in `all_maps`.

    Returns:
        `(H, W)` float32, 0 to 1; all zero for an empty region.
    """
    places = tile_places(*region.shape, network.img_size)
    if len(places) == 1:
        return make_map(network, normalize(image[None]), torch.from_numpy(region), name)
    window = tile_window(*(min(length, network.img_size) for length in region.shape))
    total, weight = np.zeros(region.shape, np.float32), np.zeros(region.shape, np.float32)
    for place in places:
        weight[place] += window
    occupied = [place for place in places if region[place].any()]
    if not occupied:
        return total
    if name == OCCLUSION:
        for place in occupied:
            within = torch.from_numpy(region[place])
            total[place] += window * occlusion_losses(network, normalize(image[place][None]), within, overlap=1).numpy()
    else:
        method, layer = name.split(", ")
        layer, channels = attention_layers(network)[layer], 0
        for place in occupied:
            counted = torch.from_numpy(region[place] * window / weight[place])
            (gradient,), (activation,) = layer_gradients(network, normalize(image[place][None]), [layer], counted)
            channels = channels + METHODS[method](gradient, activation) / len(places)
        for place in places:
            with evaluating(network), torch.inference_mode(), captured(layer) as outputs:
                network(normalize(image[place][None]))
            total[place] += window * combine_channels(channels, outputs[0], window.shape).numpy()
    total /= weight
    total /= total.max() or 1
    return total


def _in_rows(values: np.ndarray) -> Iterator[np.ndarray]:
    """Give `(H, W)` in strips, flattened: counting takes 16 bytes a pixel more."""
    return (values[start : start + ROWS].ravel() for start in range(0, len(values), ROWS))


def _attention(image: np.ndarray, mask: np.ndarray, at_scale: tuple[int, int], model: TrainedModel) -> np.ndarray:
    tissue, outside = fill_outside(image)
    region = resize(mask.astype(np.float32), *at_scale) >= 0.5
    heat = make_tiled_map(on_device(model.network, "cpu"), resize(tissue, *at_scale), region, model.attention)
    heat = np.clip(resize(heat, *mask.shape), 0, 1)
    heat[outside] = 0
    return heat
