"""Where the network looks: Grad-CAM for segmentation. Computed here, drawn in `overlays`.

Reference:
    Selvaraju et al. 2017, Grad-CAM, doi:10.1109/ICCV.2017.74.
    Vinogradova, Dibrov, Myers 2020, Seg-Grad-CAM, doi:10.1609/aaai.v34i10.7244 (a region's logits summed).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.config import THRESHOLD
from helpers.model import EfficientNetSegmentation


def attention_layers(model: EfficientNetSegmentation) -> dict[str, nn.Module]:
    """Name the layers to look at: the encoder's last stage, then the decoder from H/16 up to H."""
    levels = {f"decoder {4 - index}": block for index, block in enumerate(model.decoder)}
    # In evaluation mode dropout hands the encoder's last features through, its activation included.
    return {"encoder 5": model.dropout} | levels


def grad_cam(model: EfficientNetSegmentation, image: Tensor, layer: nn.Module, region: Tensor | None = None) -> Tensor:
    """Compute the Grad-CAM map of a region of one image at one layer.

    With activations A (C, h, w) of the layer and the sum S of the logits over the region, the map is
    relu(sum over c of a_c A_c) with a_c the mean over positions of dS/dA_c, scaled to a maximum of 1 and enlarged.

    Args:
        model: the network; it is left as it was found.
        image: `(1, 3, H, W)` float, normalised.
        layer: a module of `model` whose output is `(1, C, h, w)`, as from `attention_layers`.
        region: `(H, W)` bool, whose logits are summed; None for the pixels predicted to be nuclei.

    Returns:
        `(H, W)` float32, 0 to 1, on the CPU; all zero for an empty region or where nothing speaks for it.

    Raises:
        ValueError: more than one image, or a region of another size.
    """
    if image.ndim != 4 or len(image) != 1:
        raise ValueError(f"image: expected shape (1, 3, H, W), found {tuple(image.shape)}")
    if region is not None and region.shape != image.shape[2:]:
        raise ValueError(f"region: expected the image's shape {tuple(image.shape[2:])}, found {tuple(region.shape)}")
    with evaluating(model), captured(layer) as outputs, torch.enable_grad():
        # Weights may be frozen; a gradient that starts at the image reaches every layer all the same.
        logits = model(image.detach().requires_grad_())[0, 0]
        chosen = logits.detach().sigmoid() >= THRESHOLD if region is None else region.to(logits.device).clone()
        activations = outputs[0]
        (gradients,) = torch.autograd.grad((logits * chosen).sum(), activations)
    weights = gradients.mean((2, 3), keepdim=True)
    heat = F.relu((weights * activations.detach()).sum(1, keepdim=True))
    heat = F.interpolate(heat.float(), size=image.shape[2:], mode="bilinear", align_corners=False)[0, 0]
    return (heat / heat.max() if heat.max() > 0 else heat).cpu()


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Give Spearman's rank correlation of two maps: how alike the orders are in which they rank the pixels.

    Args:
        first: `(H, W)` heat.
        second: `(H, W)` heat.

    Returns:
        -1 to 1; NaN where one of the maps is the same everywhere.

    >>> round(rank_correlation(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 4.0, 9.0]])), 6)
    1.0
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(spearmanr(first, second, axis=None).statistic)


@contextmanager
def captured(*layers: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the outputs of layers in the order of their calls; the hooks are gone afterwards, whatever happens."""
    outputs: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output)) for layer in layers]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode for a while; afterwards every part of the network is in the mode it was in."""
    were_training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in were_training:
            module.training = training
