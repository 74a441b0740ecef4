"""Where the network looks: Grad-CAM and Grad-CAM++ for segmentation. Computed here, drawn in `overlays`.

Reference:
    Selvaraju et al. 2017, Grad-CAM, doi:10.1109/ICCV.2017.74.
    Chattopadhay et al. 2018, Grad-CAM++, doi:10.1109/WACV.2018.00097.
    Vinogradova, Dibrov, Myers 2020, Seg-Grad-CAM, doi:10.1609/aaai.v34i10.7244 (a region's logits summed).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import cv2
import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from helpers.config import THRESHOLD
from helpers.devices import choose_batch_size, on_device
from helpers.model import EfficientNetSegmentation, nuclei_of


def attention_layers(model: EfficientNetSegmentation) -> dict[str, nn.Module]:
    """Name the layers to look at: the encoder's last stage, then the decoder from H/16 up to H."""
    levels = {f"decoder {4 - index}": block for index, block in enumerate(model.decoder)}
    # In evaluation mode dropout hands the encoder's last features through, its activation included.
    return {"encoder 5": model.dropout} | levels


def weigh_by_mean(gradients: Tensor, activations: Tensor) -> Tensor:
    """Weigh channels as Grad-CAM does: the mean gradient over all positions.

    Args:
        gradients: `(1, C, h, w)`, of the region's summed logits.
        activations: `(1, C, h, w)`.

    Returns:
        `(1, C, 1, 1)`.
    """
    return gradients.mean((2, 3), keepdim=True)


def weigh_by_positive_gradients(gradients: Tensor, activations: Tensor) -> Tensor:
    """Weigh channels as Grad-CAM++ does: the sum of alpha relu(g), alpha = g^2 / (2 g^2 + g^3 sum(A)), equation 19.

    The paper takes the exponential of the score, whose derivatives give alpha this form; their common factor is lost
    when the map is scaled. Not so the size of the score inside alpha: for a large region the second term rules, and
    channels with few activations weigh more. Arguments and result as in `weigh_by_mean`.
    """
    squared = gradients**2
    below = 2 * squared + activations.sum((2, 3), keepdim=True) * gradients**3
    alpha = torch.where(below == 0, 0, squared / torch.where(below == 0, 1, below))
    return (alpha * F.relu(gradients)).sum((2, 3), keepdim=True)


METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Grad-CAM": weigh_by_mean,
    "Grad-CAM++": weigh_by_positive_gradients,
}


def grad_cam(
    model: EfficientNetSegmentation,
    image: Tensor,
    layer: nn.Module,
    region: Tensor | None = None,
    method: str = "Grad-CAM",
    against: bool = False,
) -> Tensor:
    """Compute the map of one of `METHODS` at one layer: `(H, W)`, as `grad_cams` does for several."""
    return grad_cams(model, image, {"layer": layer}, region, against)[method]["layer"]


def grad_cams(
    model: EfficientNetSegmentation,
    image: Tensor,
    layers: Mapping[str, nn.Module],
    region: Tensor | None = None,
    against: bool = False,
) -> dict[str, dict[str, Tensor]]:
    """Compute the maps of a region of one image at several layers, by every method, in one pass.

    With activations A (C, h, w) of a layer and the sum S of the logits over the region, a map is
    relu(sum over c of a_c A_c), scaled to a maximum of 1 and enlarged; the methods differ in a_c, which comes of dS/dA.

    Args:
        model: the network; it is left as it was found.
        image: `(1, 3, H, W)` float, normalised.
        layers: name to a module of `model` whose output is `(1, C, h, w)`, as from `attention_layers`.
        region: `(H, W)` bool, whose logits are summed: one nucleus, all of them, the background; None for the pixels
            predicted to be nuclei.
        against: ask what speaks against nuclei in the region, that is, for background.

    Returns:
        method to {layer to `(H, W)` float32, 0 to 1, on the CPU}; all zero for an empty region or where nothing speaks
        for it.

    Raises:
        ValueError: more than one image, or a region of another size.
    """
    gradients, activations = layer_gradients(model, image, layers.values(), region, against)
    return {
        method: {
            name: scale_heat(combine_channels(weigh(gradient, activation), activation, image.shape[2:]))
            for name, gradient, activation in zip(layers, gradients, activations, strict=True)
        }
        for method, weigh in METHODS.items()
    }


@torch.inference_mode(False)  # a caller's own, in which nothing has a gradient
@torch.enable_grad()
def layer_gradients(
    model: EfficientNetSegmentation,
    image: Tensor,
    layers: Iterable[nn.Module],
    region: Tensor | None = None,
    against: bool = False,
) -> tuple[Sequence[Tensor], list[Tensor]]:
    """Give the gradients of a region's summed logits at several layers, and the layers' activations: `(1, C, h, w)`.

    Gradients start at the first of the layers, so that what comes before it, most of the network, keeps no memory of
    its pass. The arguments are those of `grad_cams`; of a `region` of numbers each logit counts as often as it says.
    """
    check_region(image, region)
    # No weight asks for a gradient here, and none was made in inference mode, which would let no gradient pass.
    weights = {name: value.clone() if value.is_inference() else value for name, value in model.state_dict().items()}
    with evaluating(model), ExitStack() as stack:
        outputs = [stack.enter_context(_captured_with_gradient(layer)) for layer in layers]
        logits = nuclei_of(functional_call(model, weights, (image.detach().clone(),)))[0, 0]
        chosen = logits.detach().sigmoid() >= THRESHOLD if region is None else region.to(logits.device).clone()
        activations = [output[0] for output in outputs]
        gradients = torch.autograd.grad((logits * chosen).sum() * (-1 if against else 1), activations)
    return gradients, [activation.detach() for activation in activations]


def combine_channels(weights: Tensor, activations: Tensor, size: Sequence[int]) -> Tensor:
    """Add up channels `(1, C, h, w)` by weights `(1, C, 1, 1)`, take what is positive, and enlarge it: `(H, W)`."""
    heat = F.relu((weights * activations).sum(1, keepdim=True))
    return F.interpolate(heat.float(), size=tuple(size), mode="bilinear", align_corners=False)[0, 0]


def predicted_region(model: EfficientNetSegmentation, image: Tensor) -> Tensor:
    """Give the pixels that the network takes for nuclei in `(1, 3, H, W)`: `(H, W)` bool."""
    with evaluating(model), torch.no_grad():
        return nuclei_of(model(image))[0, 0].sigmoid() >= THRESHOLD


def region_logits(model: EfficientNetSegmentation, images: Tensor, region: Tensor) -> Tensor:
    """Sum the logits over one region `(H, W)` bool of each of `(B, 3, H, W)` images: `(B,)` float32, on the CPU."""
    batch_size = choose_batch_size(min(images.shape[2:]), images.device)
    images = images.contiguous(memory_format=torch.channels_last)
    with evaluating(on_device(model, images.device)), torch.inference_mode():
        batches = (nuclei_of(model(some))[:, 0].float() for some in images.split(batch_size))
        return torch.cat([logits[:, region].sum(1).cpu() for logits in batches])


def choose_regions(mask: np.ndarray) -> dict[str, np.ndarray]:
    """Give the regions that can be asked about: the largest nucleus, all nuclei, the background.

    Args:
        mask: `(H, W)` bool, where nuclei are; those that touch count as one.

    Returns:
        name to `(H, W)` bool.
    """
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = statistics[1:, cv2.CC_STAT_AREA]  # the first is the background
    largest = labels == 1 + int(areas.argmax()) if len(areas) else np.zeros_like(mask)
    return {"one nucleus": largest, "all nuclei": mask, "background": ~mask}


def check_region(image: Tensor, region: Tensor | None) -> None:
    """Refuse anything but one image `(1, 3, H, W)` and a region `(H, W)` of it, or None, with a ValueError."""
    if image.ndim != 4 or len(image) != 1:
        raise ValueError(f"image: expected shape (1, 3, H, W), found {tuple(image.shape)}")
    if region is not None and region.shape != image.shape[2:]:
        raise ValueError(f"region: expected the image's shape {tuple(image.shape[2:])}, found {tuple(region.shape)}")


def scale_heat(heat: Tensor) -> Tensor:
    """Scale a map to a maximum of 1, on the CPU; one that is zero all over stays so."""
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
def _captured_with_gradient(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the outputs of a layer as `captured` does; where nothing has a gradient yet, gradients start there."""
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
        outputs.append(output if output.requires_grad else output.requires_grad_())
        return output.clone() if output.is_leaf else output  # what follows may write in place, which no leaf suffers

    handle = layer.register_forward_hook(keep)
    try:
        yield outputs
    finally:
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
