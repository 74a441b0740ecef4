"""The map of an image of any size, tile by tile: what it takes in memory does not grow with the network's features."""

import numpy as np
import torch

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
from helpers.inference.predict import tile_places, tile_window
from helpers.model import EfficientNetSegmentation
from helpers.normalization import normalize


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
