"""Which tiles to show, chosen by rule and not by eye, and what the network makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit

from helpers.config import THRESHOLD, Recipe
from helpers.data.augmentation import build_augmentation
from helpers.data.cache import Cache
from helpers.data.masks import channels_of
from helpers.explanation.faithfulness import OCCLUSION, make_map
from helpers.explanation.grad_cam import METHODS, attention_layers, choose_regions, grad_cams, predicted_region
from helpers.inference.batches import predict_tiles
from helpers.metrics import count_pixels, dice_per_image
from helpers.model import EfficientNetSegmentation
from helpers.normalization import denormalize, normalize
from helpers.training.loaders import TileDataset


@dataclass(frozen=True)
class Example:
    """A tile with its truth and a prediction.

    Attributes:
        title: what it is an example of.
        image: `(H, W, 3)` uint8.
        truth: `(H, W)` bool.
        probability: `(H, W)` float32, 0 to 1.
    """

    title: str
    image: np.ndarray
    truth: np.ndarray
    probability: np.ndarray


def rank_examples(counts: np.ndarray) -> dict[str, int]:
    """Choose the best, the median and the worst image by Dice, among those with nuclei.

    Args:
        counts: `(N, 4)`, as from `metrics.count_pixels`.

    Returns:
        "best", "median" and "worst" to row numbers; empty where no image has nuclei.

    >>> rank_examples(np.array([[9, 1, 0, 0], [1, 9, 9, 0], [5, 5, 0, 0], [0, 0, 0, 9]]))
    {'best': 0, 'median': 2, 'worst': 1}
    """
    occupied = np.flatnonzero(counts[:, 0] + counts[:, 2] > 0)
    if len(occupied) == 0:
        return {}
    ordered = occupied[np.argsort(dice_per_image(counts[occupied]), kind="stable")].tolist()
    return {"best": ordered[-1], "median": ordered[len(ordered) // 2], "worst": ordered[0]}


def ranked_examples(
    model: EfficientNetSegmentation, cache: Cache, indices: np.ndarray, device: torch.device | str = "cpu"
) -> list[Example]:
    """Predict some prepared tiles and give the best, the median and the worst of them.

    Args:
        model: a trained network.
        cache: the prepared data set.
        indices: `(n,)` tile numbers to choose from.
        device: where to compute.
    """
    images, truth = np.array(cache.images[indices]), np.array(cache.class_maps[indices]) > 0
    probabilities = expit(predict_tiles(model, images, device))
    counts = count_pixels(probabilities >= THRESHOLD, truth)
    dice = dice_per_image(counts)
    return [
        Example(f"{rank}, Dice {dice[row]:.3f}", images[row], truth[row], probabilities[row])
        for rank, row in rank_examples(counts).items()
    ]


def augmented_views(cache: Cache, index: int, recipe: Recipe, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Give a training tile as it is, then as the first epochs of a run of this recipe would see it.

    Args:
        cache: the data set, prepared at any size.
        index: the tile's number.
        recipe: gives augmentation and seed.
        count: views in all.

    Returns:
        `count` pairs of image `(S, S, 3)` uint8 and mask `(S, S)` bool.
    """
    augmentation = build_augmentation(recipe.augmentation)
    views = [(np.array(cache.images[index]), np.array(cache.class_maps[index]) > 0)]
    dataset = TileDataset(cache, np.array([index]), augmentation, recipe.seed)
    for epoch in range(1, count):
        dataset.epoch.fill_(epoch)
        image, mask = dataset[0]
        views.append((denormalize(image[None])[0], mask[0].numpy() > 0))
    return views


def one_tile_per_tissue(cache: Cache, indices: np.ndarray, most: int = 5) -> np.ndarray:
    """Choose of the tissues with most tiles the tile with the median number of nuclei.

    Returns:
        `(up to most,)` int64 tile numbers.
    """
    names, counts = np.unique(cache.tissues[indices], return_counts=True)
    chosen = []
    for tissue in names[np.argsort(-counts, kind="stable")][:most]:
        members = indices[cache.tissues[indices] == tissue]
        chosen.append(members[np.argsort(cache.nuclei[members].sum(1), kind="stable")[len(members) // 2]])
    return np.array(chosen, dtype=np.int64)


def show_worst(model: EfficientNetSegmentation, cache: Cache, worst: Sequence[dict]) -> list[Example]:
    """Predict the worst tiles again, to show them with their causes.

    Args:
        model: the network.
        cache: the data set at the network's size.
        worst: `tile`, `dice` and `causes` of each, as in an explanation's `failures`.
    """
    indices = np.array([entry["tile"] for entry in worst])
    images, truth = np.array(cache.images[indices]), np.array(cache.class_maps[indices]) > 0
    titles = [f"Dice {entry['dice']:.3f}\n{', '.join(entry['causes']) or 'none of these causes'}" for entry in worst]
    return [Example(*parts) for parts in zip(titles, images, truth, expit(predict_tiles(model, images)), strict=True)]


def attention_maps(
    networks: dict[str, EfficientNetSegmentation], image: np.ndarray, methods: Sequence[str] = ("Grad-CAM",)
) -> dict[str, dict[str, np.ndarray]]:
    """Compute maps of the predicted nuclei for several networks, methods and all layers.

    Every network is asked about the same region, the nuclei that the first one predicts, or maps could differ
    because the question does.

    Args:
        networks: title to network; all on the CPU.
        image: `(H, W, 3)` uint8.
        methods: of `attention.METHODS`.

    Returns:
        title, with the method where there are several, to {layer to `(H, W)` float32 heat, 0 to 1}.
    """
    tensor = normalize(image[None])
    region = predicted_region(next(iter(networks.values())), tensor)
    maps = {title: grad_cams(network, tensor, attention_layers(network), region) for title, network in networks.items()}
    return {
        title if len(methods) == 1 else f"{method}\n{title}": {
            layer: heat.numpy() for layer, heat in maps[title][method].items()
        }
        for method in methods
        for title in networks
    }


def region_maps(
    model: EfficientNetSegmentation, image: np.ndarray, layer: str = "decoder 1"
) -> dict[str, dict[str, np.ndarray]]:
    """Compute what speaks for one nucleus, for all of them, and for the background, by every method.

    Where a region is empty, its maps are zero. For the background the question is turned round: what speaks against
    nuclei there.

    Args:
        model: the network, on the CPU.
        image: `(H, W, 3)` uint8.
        layer: of `grad_cam.attention_layers`, for the methods that look at one.

    Returns:
        region to {method to `(H, W)` float32 heat, 0 to 1}.
    """
    tensor = normalize(image[None])
    regions = choose_regions(predicted_region(model, tensor).numpy())
    names = [f"{method}, {layer}" for method in METHODS] + [OCCLUSION]
    return {
        region: {name: make_map(model, tensor, torch.from_numpy(where), name, region == "background") for name in names}
        for region, where in regions.items()
    }


def true_nuclei(instances: np.ndarray, kinds: Sequence[str] = ()) -> tuple[np.ndarray, list[str]]:
    """Give true nuclei as `overlays.draw_nuclei` takes them.

    Args:
        instances: `(H, W)`, numbers of `Tiles.instances`.
        kinds: what the class channels mean; none where the kinds are not known.

    Returns:
        label map `(H, W)` int64 numbered from 1, and the kind of each nucleus, "" where none is known.
    """
    ids, numbers = np.unique(np.append(0, instances), return_inverse=True)
    told = [kinds[channel] if kinds else "" for channel in channels_of(ids[1:])]
    return numbers[1:].reshape(instances.shape), told
