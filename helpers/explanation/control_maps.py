"""Maps of a network beside those of its control, which knows a few tiles by heart, each with the mask of another."""

from pathlib import Path

import numpy as np
import torch

from helpers.config import Recipe
from helpers.data.cache import Cache
from helpers.errors import InputError
from helpers.explanation.faithfulness import LEARNT, SHUFFLED, all_maps
from helpers.explanation.grad_cam import predicted_region, rank_correlation
from helpers.explanation.verdicts import summarize_sanity
from helpers.files import read_json
from helpers.normalization import normalize
from helpers.training.checkpoints import load_checkpoint
from helpers.training.control import control_window
from helpers.training.results import RESULTS, Results


def load_control(weights: Path, recipe: Recipe, data: dict) -> tuple[torch.nn.Module, Results]:
    """Load a control, and the results of its run, which stand beside it.

    The run need not be finished: what counts is whether the control knows its tiles, and that is told.

    Args:
        weights: a checkpoint in the folder of a run with `--shuffled-masks`.
        recipe: of the network that is explained.
        data: of its results, what it was trained on.

    Returns:
        the network, and what its run says of it.

    Raises:
        InputError: it is no control, of another network, or trained on other data.
    """
    control, _ = load_checkpoint(weights)
    if control.name != recipe.network:
        raise InputError(f"{weights}: expected weights of network {recipe.network!r}, found those of {control.name!r}")
    told = weights.parent / RESULTS
    results = read_json(told) if told.exists() else {}
    if not results.get("recipe", {}).get("shuffled_masks"):
        raise InputError(f"{weights}: expected a control, trained with `--shuffled-masks`, found a run that was not")
    recipe_told = Recipe(**results["recipe"])
    for what, expected, found in (
        ("data set", data["digest"][:12], results["data"]["digest"][:12]),
        ("size", recipe.image_size, recipe_told.image_size),
        ("split seed", recipe.split_seed, recipe_told.split_seed),
    ):
        if expected != found:
            raise InputError(f"{weights}: expected a control of the run's {what}, {expected}, found {found}")
    return control, results


def compare_control(
    model: torch.nn.Module,
    control: torch.nn.Module,
    cache: Cache,
    unseen: np.ndarray,
    learnt: np.ndarray | None = None,
    most: int = 20,
    seed: int = 0,
) -> dict[str, dict[str, dict]]:
    """Compare maps of the nuclei that a network predicts with its control's, where this one learnt and elsewhere.

    Both see the part of a tile that a control learns and are asked about the same pixels, or the maps would differ for
    that alone.

    Args:
        model: the trained network, on the CPU.
        control: as from `load_control`.
        cache: the data set at the networks' size.
        unseen: `(n,)` tiles that neither was trained on.
        learnt: `(m,)` tiles that the control knows by heart; None where they are not known.
        most: how many of each are compared; drawn by lot among those where the network finds nuclei.
        seed: of the lot.

    Returns:
        name of the map to {`SHUFFLED` on tiles that are new to both, `LEARNT` on those that the control learnt: the
        `mean` rank correlation, and the `n` tiles on which it is defined}.
    """
    window, compared = control_window(cache.image_size), {}
    for where, tiles in ((SHUFFLED, unseen), (LEARNT, [] if learnt is None else learnt)):
        correlations = []
        for tile in np.random.default_rng(seed).permutation(tiles):
            if len(correlations) == most:
                break
            image = np.array(cache.images[int(tile)][window])
            region = predicted_region(model, normalize(image[None]))
            if region.any():
                true, others = (all_maps(network, image, region) for network in (model, control))
                correlations.append({name: {where: rank_correlation(true[name], others[name])} for name in true})
        for name, networks in (summarize_sanity(correlations) if correlations else {}).items():
            compared[name] = compared.get(name, {}) | networks
    return compared


def describe_control(results: Results) -> dict:
    """Give what an explanation keeps of its control, from the results of its run.

    Returns:
        `tiles` that it learnt, the `size` of each in pixels, its `dice` on them in evaluation mode, `epochs`,
        `best_epoch`, the `start` of its weights, and `date`.
    """
    training = results["training"]
    return {
        "tiles": len(results["data"]["validation_indices"]),
        "size": results["recipe"]["image_size"] // 2,
        "dice": training["best"]["val_dice"],
        "epochs": training["epochs"],
        "best_epoch": training["best_epoch"],
        "start": results["model"]["encoder_start"],
        "date": training["date"],
    }
