"""Using a trained network: probabilities for images, and what they cost in time."""

import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from helpers.devices import mixed_precision
from helpers.model import EfficientNetSegmentation
from helpers.normalization import normalize
from helpers.preprocessing import enlarge_probabilities, shrink_images
from helpers.provenance import device_name

# Quarter turns, and whether a flip follows: the eight symmetries of the square, the first of which changes nothing.
SYMMETRIES = tuple((quarter_turns, flip) for flip in (False, True) for quarter_turns in range(4))


def predict_probabilities(
    model: EfficientNetSegmentation,
    images: np.ndarray,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
    flips_and_turns: bool = False,
    dropout: bool = False,
) -> np.ndarray:
    """Predict the probability of nucleus for every pixel of square tiles.

    Tiles of another size than the network was trained at are shrunk by area, and the probabilities enlarged
    bilinearly, so that they come back at the size of the tiles.

    Args:
        model: the network; it is left in evaluation mode.
        images: `(N, S, S, 3)` uint8, RGB.
        device: where to compute.
        batch_size: tiles at once; None for 16, on a CPU for 2: there, larger ones wait for memory.
        flips_and_turns: give the mean over the eight symmetries of the square (test-time averaging).
        dropout: drop features as in training, by torch's own random numbers.

    Returns:
        `(N, S, S)` float32, 0 to 1.

    Raises:
        ValueError: both averaging and dropout.
    """
    if flips_and_turns and dropout:
        raise ValueError("flips_and_turns and dropout: expected one of them at most")
    if flips_and_turns:
        return sum(predict_symmetries(model, images, device, batch_size)) / len(SYMMETRIES)
    return _predict(model, images, device, batch_size, SYMMETRIES[0], dropout)


def predict_symmetries(
    model: EfficientNetSegmentation,
    images: np.ndarray,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
) -> Iterator[np.ndarray]:
    """Predict under each of the eight symmetries of the square: as `predict_probabilities`, one after the other.

    Yields:
        `(N, S, S)` float32, 0 to 1, turned back.
    """
    for symmetry in SYMMETRIES:
        yield _predict(model, images, device, batch_size, symmetry)


def _predict(
    model: EfficientNetSegmentation,
    images: np.ndarray,
    device: torch.device | str,
    batch_size: int | None,
    symmetry: tuple[int, bool],
    dropout: bool = False,
) -> np.ndarray:
    device = torch.device(device)
    batch_size = batch_size or (2 if device.type == "cpu" else 16)
    # Not in inference mode: weights that are moved there could never take part in a gradient again.
    model.to(device, memory_format=torch.channels_last).eval()
    size = images.shape[1]
    small = images if size == model.img_size else shrink_images(images, model.img_size)
    probabilities = []
    try:
        if dropout:
            model.dropout.train()
        for start in range(0, len(small), batch_size):
            batch = normalize(small[start : start + batch_size]).to(device)
            maps = _undo(_predict_batch(model, _apply(batch, symmetry)), symmetry)
            probabilities.append(maps[:, 0].cpu().numpy())
    finally:
        model.eval()
    joined = np.concatenate(probabilities)
    return joined if size == model.img_size else enlarge_probabilities(joined, size)


def _apply(batch: Tensor, symmetry: tuple[int, bool]) -> Tensor:
    quarter_turns, flip = symmetry
    turned = batch.rot90(quarter_turns, (-2, -1))
    return turned.flip(-1) if flip else turned


def _undo(batch: Tensor, symmetry: tuple[int, bool]) -> Tensor:
    quarter_turns, flip = symmetry
    return (batch.flip(-1) if flip else batch).rot90(-quarter_turns, (-2, -1))


@torch.inference_mode()
def _predict_batch(model: EfficientNetSegmentation, batch: Tensor) -> Tensor:
    """Take `(B, 3, h, w)`, normalised, to probabilities `(B, 1, h, w)` float32."""
    with mixed_precision(batch.device):
        logits = model(batch.contiguous(memory_format=torch.channels_last))
    return logits.float().sigmoid()


def time_inference(
    model: EfficientNetSegmentation,
    device: torch.device | str = "cpu",
    batch_sizes: tuple[int, ...] = (1, 16),
    repeats: int = 15,
    warm_up: int = 3,
) -> list[dict[str, object]]:
    """Time the network's forward pass on tiles of its own size.

    Each pass is waited for before the clock is read: on a GPU a call returns before the work is done.

    Args:
        model: the network.
        device: where to compute.
        batch_sizes: tiles at once.
        repeats: timed passes, of which the median counts.
        warm_up: passes before, which load kernels and fill caches.

    Returns:
        a row for each batch size: `device`, `batch_size`, `ms_per_batch`, `ms_per_tile` (medians), `repeats`.
    """
    device = torch.device(device)
    model.to(device, memory_format=torch.channels_last).eval()
    rows = []
    for batch_size in batch_sizes:
        images = torch.zeros(batch_size, model.in_channels, model.img_size, model.img_size, device=device)
        images = images.contiguous(memory_format=torch.channels_last)
        seconds = [_time_once(model, images, device) for _ in range(warm_up + repeats)][warm_up:]
        milliseconds = 1000 * statistics.median(seconds)
        row = {"device": device_name(device), "batch_size": batch_size, "ms_per_batch": milliseconds}
        rows.append(row | {"ms_per_tile": milliseconds / batch_size, "repeats": repeats})
    return rows


@torch.inference_mode()
def _time_once(model: torch.nn.Module, images: torch.Tensor, device: torch.device) -> float:
    started = time.perf_counter()
    with mixed_precision(device):
        model(images)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
