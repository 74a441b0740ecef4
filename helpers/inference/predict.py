"""From any H&E image to its nuclei: the one call a stranger needs, and the one road that scores and maps take too."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.special import expit

from helpers.config import TILE_UM_PER_PX
from helpers.devices import on_device
from helpers.errors import InputError
from helpers.inference.batches import SYMMETRIES, predict_outputs
from helpers.inference.instances import list_nuclei, part_nuclei
from helpers.inference.trained_model import TrainedModel, shipped_model
from helpers.pictures.checks import check_picture, fill_outside, warn_about

OVERLAP = 4  # neighbouring tiles share 1/4 of their side, where the nearer one counts more
TILES = 16  # cut at once
PLAIN = SYMMETRIES[:1]


@dataclass(frozen=True)
class Segmentation:
    """Where nuclei are, and each of them.

    Attributes:
        probability: `(H, W)` float32, probability of nucleus, 0 to 1, at the model's temperature.
        mask: `(H, W)` bool, where its logit reaches the model's threshold.
        instances: `(H, W)` int32, 0 where no nucleus is, 1 and up for each nucleus. Against the mask its holes are
            filled, and specks smaller than a nucleus are left out.
        nuclei: `(n,)` structured array, a row for each nucleus with the fields of `instances.FIELDS`: its centroid in
            pixels, area in um2, kind, how sure that is, and bounding box. `pandas.DataFrame(nuclei)` shows it.
    """

    probability: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    nuclei: np.ndarray


def predict(
    image: np.ndarray,
    um_per_px: float | str = TILE_UM_PER_PX,
    model: TrainedModel | None = None,
    device: torch.device | str = "cpu",
    flips_and_turns: bool = False,
) -> Segmentation:
    """Find the nuclei of an image of any size: where they are, each by itself, and of which kind.

    It takes some 60 bytes of memory a pixel, of the image or at the model's scale, and 55 more where an edge is black
    or transparent: cut slides into regions.

    Where the image is transparent or black to its border there is no tissue and no nucleus; it warns of that, and of
    colours that are not those of H&E, or with red and blue swapped.

    Args:
        image: `(H, W, 3)` uint8, RGB, or `(H, W, 4)` RGBA, which is laid on white.
        um_per_px: the image's scale in micrometres a pixel: 0.25 at 40x, 0.5 at 20x; a slide's text will do. A wrong
            one costs much.
        model: as from `load_model`; None for the shipped one.
        device: where to compute; a model given stays on its own.
        flips_and_turns: average over the eight symmetries of the square: slower by eight times, a little better.

    Returns:
        all at the size of `image`.

    Raises:
        InputError: not such an image, or a scale outside 0.1 to 1 um/px.
    """
    um_per_px = check_picture(image, um_per_px)
    model = choose_model(model, device)
    warn_about(image)
    return segment(model, image, um_per_px, device, SYMMETRIES if flips_and_turns else PLAIN)


def segment(
    model: TrainedModel,
    image: np.ndarray,
    um_per_px: float,
    device: torch.device | str = "cpu",
    symmetries: tuple[tuple[int, bool], ...] = PLAIN,
) -> Segmentation:
    """Do what `predict` does, with an image and a scale that are known to fit; arguments as of `predict_maps`."""
    maps, outside = predict_maps(model, image, um_per_px, device, symmetries)
    logits = _nuclei_logits(maps, outside)
    mask, probability = logits >= model.threshold_logit, expit(logits / model.temperature)
    interior = resize(maps["interior"][0], *outside.shape) if "interior" in maps else None
    instances = part_nuclei(mask, interior, um_per_px)
    kinds = getattr(model.network, "kinds", ())
    return Segmentation(
        probability, mask, instances, list_nuclei(instances, probability, maps.get("kinds"), kinds, um_per_px)
    )


def predict_logits(
    model: TrainedModel,
    image: np.ndarray,
    um_per_px: float,
    device: torch.device | str = "cpu",
    symmetries: tuple[tuple[int, bool], ...] = PLAIN,
) -> np.ndarray:
    """Predict the logit of nucleus for every pixel of an image of any size; arguments as of `predict_maps`.

    The network's own logits come out, not divided by its temperature: `logits >= model.threshold_logit` is the mask,
    `expit(logits / model.temperature)` the probability.

    Returns:
        `(H, W)` float32; minus infinity where there is no tissue (`checks.find_outside`).
    """
    return _nuclei_logits(*predict_maps(model, image, um_per_px, device, symmetries))


def predict_maps(
    model: TrainedModel,
    image: np.ndarray,
    um_per_px: float,
    device: torch.device | str = "cpu",
    symmetries: tuple[tuple[int, bool], ...] = PLAIN,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Predict all that the network tells of every pixel of an image of any size, at the model's scale.

    The image is brought to that scale and cut into overlapping tiles; their logits are averaged over the symmetries
    and blended.

    Args:
        model: the network and its scale; it stays on its own device.
        image: `(H, W, 3)` uint8, RGB, or `(H, W, 4)` RGBA.
        um_per_px: the image's scale in micrometres a pixel.
        device: where to compute.
        symmetries: of `batches.SYMMETRIES`, over which each tile is averaged; all eight are test-time averaging.

    Returns:
        logits by name, `(C, h, w)` float32 at the model's scale; and where there is no tissue, `(H, W)` bool at the
        image's. Where there is none at all nothing is asked of the network, and no nucleus is anywhere.

    Reference:
        Overlapping tiles as in Ronneberger, Fischer, Brox 2015, figure 2, doi:10.1007/978-3-319-24574-4_28.
    """
    image, outside = fill_outside(image)
    if outside.all():
        return {"nuclei": np.full((1, 1, 1), -np.inf, np.float32)}, outside
    size, network = model.network.img_size, on_device(model.network, device)
    at_scale = resize(image, *size_at_scale(image, um_per_px, model))
    height, width = at_scale.shape[:2]
    # Smaller than a tile: its border is repeated, for a black frame would look like tissue.
    padding = (0, max(0, size - height), 0, max(0, size - width))
    padded = cv2.copyMakeBorder(at_scale, *padding, cv2.BORDER_REPLICATE) if any(padding) else at_scale
    window = tile_window(size, size)
    total: dict[str, np.ndarray] = {}
    weight = np.zeros(padded.shape[:2], np.float32)
    places = tile_places(*padded.shape[:2], size)
    for start in range(0, len(places), TILES):
        chunk = places[start : start + TILES]
        tiles = np.stack([padded[place] for place in chunk])  # (n, size, size, 3)
        turned = [predict_outputs(network, tiles, device, symmetry=symmetry) for symmetry in symmetries]
        for name in turned[0]:
            averaged = np.mean([outputs[name] for outputs in turned], axis=0)  # (n, C, size, size)
            blended = total.setdefault(name, np.zeros((averaged.shape[1], *weight.shape), np.float32))
            for place, logits in zip(chunk, averaged, strict=True):
                blended[:, *place] += window * logits
        for place in chunk:
            weight[place] += window
    return {name: (blended / weight)[:, :height, :width] for name, blended in total.items()}, outside


def _nuclei_logits(maps: dict[str, np.ndarray], outside: np.ndarray) -> np.ndarray:
    """Bring the logits of nucleus `(1, h, w)` to the image's size `(H, W)`, minus infinity where there is no tissue."""
    logits = resize(maps["nuclei"][0], *outside.shape)
    logits[outside] = -np.inf
    return logits


def tile_places(height: int, width: int, size: int) -> list[tuple[slice, slice]]:
    """Give rows and columns of the tiles that cover an image, `size` pixels a side or the whole of a shorter side."""
    rows, columns = (_starts(length, min(length, size)) for length in (height, width))
    return [np.s_[row : row + size, column : column + size] for row in rows for column in columns]


def tile_window(height: int, width: int) -> np.ndarray:
    """Give what each pixel of a tile counts where tiles overlap, `(height, width)` float32: more the further inside."""
    ramps = [np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) for side in (height, width)]
    return np.minimum.outer(*ramps).astype(np.float32)


def size_at_scale(image: np.ndarray, um_per_px: float, model: TrainedModel) -> tuple[int, int]:
    """Give the height and width that an image of `um_per_px` has at the model's scale, one pixel at least."""
    height, width = (max(1, round(length * um_per_px / model.um_per_px)) for length in image.shape[:2])
    return height, width


def resize(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrink `(H, W)` or `(H, W, 3)` by area, or enlarge it bilinearly; pixel centres stay in place."""
    if array.shape[:2] == (height, width):
        return array
    shrinks = height <= array.shape[0] and width <= array.shape[1]
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _starts(length: int, size: int) -> list[int]:
    """Give where tiles begin along one side: evenly, from end to end, overlapping by `1 / OVERLAP` at least.

    >>> _starts(256, 256), _starts(600, 256)
    ([0], [0, 172, 344])
    """
    steps = math.ceil((length - size) / (size - size // OVERLAP))
    return [round(step * (length - size) / steps) for step in range(steps + 1)] if steps else [0]


def choose_model(model: TrainedModel | None, device: torch.device | str) -> TrainedModel:
    """Give the model, or for None the shipped one; an InputError for anything else."""
    model = shipped_model(str(device)) if model is None else model
    if not isinstance(model, TrainedModel):
        raise InputError(f"model: expected what `helpers.load_model(PATH)` gives, found {type(model).__name__}")
    return model
