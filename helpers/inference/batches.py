"""Tiles through a network: logits of tiles at the network's own scale, and what a pass costs in time."""

import math
import statistics
import time
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from helpers.devices import choose_batch_size, mixed_precision, on_device
from helpers.inference.symmetries import SYMMETRIES, turn, turn_back
from helpers.model import EfficientNetSegmentation
from helpers.normalization import normalize
from helpers.provenance import device_name


def predict_tiles(
    network: EfficientNetSegmentation, images: np.ndarray, *arguments: object, **more: object
) -> np.ndarray:
    """Predict the logit of nucleus for every pixel of tiles; the arguments are those of `predict_outputs`.

    Returns:
        `(N, H, W)` float32.
    """
    return predict_outputs(network, images, *arguments, **more)["nuclei"][:, 0]


def predict_outputs(
    network: EfficientNetSegmentation,
    images: np.ndarray,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
    symmetry: tuple[int, bool] = SYMMETRIES[0],
    dropout: bool = False,
) -> dict[str, np.ndarray]:
    """Predict all that a network tells of every pixel of tiles that have its scale.

    Args:
        network: the network; it is left in evaluation mode, on the device where it was.
        images: `(N, H, W, 3)` uint8, RGB.
        device: where to compute.
        batch_size: tiles at once; None for `choose_batch_size`.
        symmetry: one of `SYMMETRIES`; the tiles are turned and flipped by it, the logits turned back.
        dropout: drop features as in training, by torch's own random numbers.

    Returns:
        logits by name, `(N, C, H, W)` float32: `nuclei` (C = 1), and what else the network tells.
    """
    device = torch.device(device)
    images = turn(images, symmetry)
    batch_size = batch_size or choose_batch_size(math.isqrt(math.prod(images.shape[1:3])), device)
    network = on_device(network, device)
    parts = []
    try:
        network.eval()
        if dropout:
            network.dropout.train()
        for start in range(0, len(images), batch_size):
            batch = normalize(images[start : start + batch_size]).to(device)  # (B, 3, H, W)
            outputs = _forward(network, batch)
            parts.append({name: maps.cpu().numpy() for name, maps in outputs.items()})
    finally:
        network.eval()
    return {name: turn_back(np.concatenate([part[name] for part in parts]), symmetry) for name in parts[0]}


def spread(predictions: Iterable[np.ndarray]) -> np.ndarray:
    """Give the standard deviation over predictions of one shape, read one at a time (Welford 1962).

    >>> spread([np.array([0.0, 0.5]), np.array([1.0, 0.5])]).tolist()
    [0.5, 0.0]
    """
    count, mean, squares = 0, 0.0, 0.0
    for values in predictions:
        count += 1
        step = values - mean
        mean += step / count
        step *= values - mean
        squares += step
        del values, step  # the next one may need their room
    return np.sqrt(squares / count)


# Not all of `predict_outputs`: weights that were moved in inference mode could never take part in a gradient again.
@torch.inference_mode()
def _forward(network: EfficientNetSegmentation, batch: Tensor) -> dict[str, Tensor]:
    """Take `(B, 3, h, w)`, normalised, to logits by name, `(B, C, h, w)` float32."""
    with mixed_precision(batch.device):
        outputs = network(batch.contiguous(memory_format=torch.channels_last))
    outputs = outputs if isinstance(outputs, dict) else {"nuclei": outputs}
    return {name: maps.float() for name, maps in outputs.items()}


def time_inference(
    network: EfficientNetSegmentation,
    device: torch.device | str = "cpu",
    batch_sizes: tuple[int, ...] = (1, 16),
    repeats: int = 15,
    warm_up: int = 3,
) -> list[dict[str, object]]:
    """Time the network's forward pass on tiles of its own size.

    Each pass is waited for before the clock is read: on a GPU a call returns before the work is done.

    Args:
        network: the network.
        device: where to compute.
        batch_sizes: tiles at once.
        repeats: timed passes, of which the median counts.
        warm_up: passes before, which load kernels and fill caches.

    Returns:
        a row for each batch size: `device`, `batch_size`, `ms_per_batch`, `ms_per_tile` (medians), `repeats`.
    """
    device = torch.device(device)
    network = on_device(network, device).eval()
    rows = []
    for batch_size in batch_sizes:
        images = torch.zeros(batch_size, network.in_channels, network.img_size, network.img_size, device=device)
        images = images.contiguous(memory_format=torch.channels_last)
        seconds = [_time_once(network, images, device) for _ in range(warm_up + repeats)][warm_up:]
        milliseconds = 1000 * statistics.median(seconds)
        row = {"device": device_name(device), "batch_size": batch_size, "ms_per_batch": milliseconds}
        rows.append(row | {"ms_per_tile": milliseconds / batch_size, "repeats": repeats})
    return rows


@torch.inference_mode()
def _time_once(network: nn.Module, images: Tensor, device: torch.device) -> float:
    started = time.perf_counter()
    with mixed_precision(device):
        network(images)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
