"""What a heat map is worth: deletion and insertion, and maps of networks that have unlearnt what they knew.

Reference:
    Petsiuk, Das, Saenko 2018, RISE (deletion and insertion), arXiv:1806.07421.
    Adebayo et al. 2018, Sanity checks for saliency maps, arXiv:1810.03292.
"""

import copy
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.explanation.grad_cam import (
    attention_layers,
    grad_cam,
    grad_cams,
    predicted_region,
    rank_correlation,
    region_logits,
)
from helpers.explanation.occlusion import blurred, occlusion_map
from helpers.model import EfficientNetSegmentation
from helpers.normalization import normalize

BLOCKS = 32  # a side: pixels go in blocks, or the grain of an order and not its sense would decide
SHARES = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)  # of the blocks that are deleted or inserted; early ones tell most
LEAST_DROP = 1.0  # logits a pixel that blurring must cost a region, or there is nothing to explain
CURVES = ("deletion", "insertion")
CONTROLS = ("random", "darkness")
OCCLUSION = "occlusion"
ALL_RANDOM = "encoder"  # the last part of `randomized_cascade`: when it is random, all is
SHUFFLED = "shuffled masks"  # the control network that was trained on them, on tiles that it never saw
LEARNT = "shuffled masks, learnt tiles"  # the same on tiles that it knows by heart
SANITY = (ALL_RANDOM, SHUFFLED, LEARNT)  # what a map must differ from


def deletion_insertion(
    model: EfficientNetSegmentation, image: Tensor, region: Tensor, maps: dict[str, np.ndarray], seed: int = 0
) -> dict[str, np.ndarray]:
    """Blur the hottest blocks of a tile first, then unblur them first, and follow the region's summed logits.

    Args:
        model: the network; it is left as it was found.
        image: `(1, 3, H, W)` float, normalised; at least `BLOCKS` pixels a side.
        region: `(H, W)` bool, whose logits are summed.
        maps: name to `(H, W)` heat, the maps under test.
        seed: decides between blocks of the same heat.

    Returns:
        name to `(2, len(SHARES))` float64, the curves of deletion and insertion, where 1 is the intact tile and 0 the
        blurred one. The faster the first falls and the second rises, the better. NaN where blurring costs the region
        less than `LEAST_DROP` a pixel.
    """
    hidden = blurred(image)
    intact, blank = region_logits(model, torch.cat([image, hidden]), region).tolist()
    if not intact - blank >= LEAST_DROP * max(1, int(region.sum())):
        return {name: np.full((len(CURVES), len(SHARES)), np.nan) for name in maps}
    curves = {}
    for name, heat in maps.items():
        ranks = F.interpolate(rank_blocks(heat, seed)[None, None], image.shape[2:], mode="nearest")
        hottest = [ranks < share * BLOCKS**2 for share in SHARES[1:-1]]
        pairs = [(hidden, image), (image, hidden)]  # what the hottest blocks show, and the others
        steps = torch.cat([torch.where(where, here, there) for here, there in pairs for where in hottest])
        left = (region_logits(model, steps, region).double().numpy() - blank) / (intact - blank)
        deletion, insertion = left.reshape(len(CURVES), -1)
        curves[name] = np.array([[1.0, *deletion, 0.0], [0.0, *insertion, 1.0]])
    return curves


def curve_areas(curves: np.ndarray) -> np.ndarray:
    """Give the area under each curve `(..., len(SHARES))`: 1/2 on a straight line from corner to corner."""
    return np.trapezoid(curves, SHARES, axis=-1)


def rank_blocks(heat: np.ndarray, seed: int = 0) -> Tensor:
    """Rank the blocks of a map by their mean heat, the hottest 0: `(BLOCKS, BLOCKS)` float32. Ties fall by lot."""
    means = F.adaptive_avg_pool2d(torch.from_numpy(np.asarray(heat, np.float64))[None], BLOCKS).numpy().ravel()
    shuffled = np.random.default_rng(seed).permutation(len(means))
    order = shuffled[np.argsort(-means[shuffled], kind="stable")]
    ranks = np.empty(len(order), np.float32)
    ranks[order] = np.arange(len(order))
    return torch.from_numpy(ranks.reshape(BLOCKS, BLOCKS))


def control_maps(image: np.ndarray) -> dict[str, np.ndarray]:
    """Give the orders that a map must beat to be worth anything: chance, and the plain darkness of the tissue.

    Args:
        image: `(H, W, 3)` uint8.

    Returns:
        `CONTROLS` to `(H, W)` float64 heat; "random" is the same everywhere, so that lot decides.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return dict(zip(CONTROLS, (np.zeros(grey.shape), 255.0 - grey), strict=True))


def all_maps(model: EfficientNetSegmentation, image: np.ndarray, region: Tensor) -> dict[str, np.ndarray]:
    """Compute the maps of a region by every method and layer, and by occlusion.

    Args:
        model: the network, on the CPU.
        image: `(H, W, 3)` uint8, at the network's size.
        region: `(H, W)` bool.

    Returns:
        name, such as "Grad-CAM, decoder 1" or "occlusion", to `(H, W)` float32 heat, 0 to 1.
    """
    tensor = normalize(image[None])
    return gradient_maps(model, tensor, region) | {OCCLUSION: occlusion_map(model, tensor, region, overlap=1).numpy()}


def gradient_maps(model: EfficientNetSegmentation, image: Tensor, region: Tensor) -> dict[str, np.ndarray]:
    """Compute the maps of a region by every method and layer of `attention`, named as in `all_maps`."""
    return {
        f"{method}, {layer}": heat.numpy()
        for method, heats in grad_cams(model, image, attention_layers(model), region).items()
        for layer, heat in heats.items()
    }


def make_map(
    model: EfficientNetSegmentation, image: Tensor, region: Tensor, name: str, against: bool = False
) -> np.ndarray:
    """Compute one map `(H, W)` float32 of a `(1, 3, H, W)` image by its name, as in `all_maps`."""
    if name == OCCLUSION:
        return occlusion_map(model, image, region, overlap=1, against=against).numpy()
    method, layer = name.split(", ")
    return grad_cam(model, image, attention_layers(model)[layer], region, method, against).numpy()


def measure_maps(model: EfficientNetSegmentation, images: Sequence[np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """Delete and insert by every map of the predicted nuclei, tile by tile, the controls beside.

    Args:
        model: the network, on the CPU.
        images: of `(H, W, 3)` uint8, at the network's size.
        seed: of chance.

    Returns:
        name of the map, as from `all_maps` or of `CONTROLS`, to `(N, 2, len(SHARES))` float64 curves, as from
        `deletion_insertion`.
    """
    curves = []
    for number, image in enumerate(images):
        tensor = normalize(image[None])
        region = predicted_region(model, tensor)
        maps = all_maps(model, image, region) | control_maps(image)
        curves.append(deletion_insertion(model, tensor, region, maps, seed + number))
    return {name: np.stack([of_tile[name] for of_tile in curves]) for name in curves[0]}


def cascade_correlations(
    model: EfficientNetSegmentation,
    untrained: EfficientNetSegmentation,
    image: np.ndarray,
) -> dict[str, dict[str, float]]:
    """Compare maps of the nuclei that the trained network predicts with those of networks that do not know them.

    Args:
        model: the trained network, on the CPU.
        untrained: as in `randomized_cascade`.
        image: `(H, W, 3)` uint8.

    Returns:
        name of the map to {the part last made random, to the rank correlation with the trained map}. Near 1 after all
        is random, a map tells about image and architecture, and nothing of what was learnt. Occlusion, which is slow,
        is compared where all is random alone.
    """
    tensor = normalize(image[None])
    region = predicted_region(model, tensor)
    true = all_maps(model, image, region)
    correlations = {name: {} for name in true}
    for part, network in randomized_cascade(model, untrained):
        everything = part == ALL_RANDOM
        maps = all_maps(network, image, region) if everything else gradient_maps(network, tensor, region)
        for name, heat in maps.items():
            correlations[name][part] = rank_correlation(true[name], heat)
    return correlations


@torch.inference_mode(False)  # a caller's own would leave weights that no gradient can pass
def randomized_cascade(
    model: EfficientNetSegmentation, untrained: EfficientNetSegmentation
) -> Iterator[tuple[str, EfficientNetSegmentation]]:
    """Take from a network what it learnt from the top down: the head, each decoder block, then the encoder at once.

    The cascade of Adebayo et al., section 3, in coarser steps.

    Args:
        model: the trained network; it is left as it was found.
        untrained: one of the same architecture, whose weights take the place of the learnt ones.

    Yields:
        the name of the part that was last made random, and the network so far; the same object every time.
    """
    network = copy.deepcopy(model)
    for name, part in _parts(network).items():
        part.load_state_dict(_parts(untrained)[name].state_dict())
        yield name, network


def _parts(network: EfficientNetSegmentation) -> dict[str, nn.Module]:
    blocks = {f"decoder {level}": block for level, block in enumerate(reversed(network.decoder))}
    return {"head": network.head} | blocks | {ALL_RANDOM: network.encoder}
