"""What a network's maps, uncertainty and probabilities are worth, measured on tiles it was not trained on."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from helpers.config import LOGIT_THRESHOLD, Recipe
from helpers.data.cache import Cache
from helpers.data.prepare import prepare
from helpers.errors import InputError
from helpers.evaluation.failures import find_causes, source_of
from helpers.evaluation.uncertainty import measure_uncertainty
from helpers.explanation.faithfulness import cascade_correlations, control_correlations, measure_maps
from helpers.explanation.verdicts import (
    prefer_map,
    summarize_calibration,
    summarize_failures,
    summarize_faithfulness,
    summarize_sanity,
    summarize_sources,
    summarize_uncertainty,
)
from helpers.files import MERGE_SECONDS, locked, read_json, write_json
from helpers.metrics import count_pixels, dice_per_image
from helpers.networks import OWN_NETWORKS
from helpers.paths import as_path
from helpers.provenance import describe_environment
from helpers.training.checkpoints import load_checkpoint
from helpers.training.comparisons import untrained_model
from helpers.training.control import control_window
from helpers.training.results import BEST, RESULTS, Results, read_finished


def explain_run(
    run: Path,
    dataset: Path,
    shuffled: Path | None = None,
    tiles: int = 100,
    sane: int = 20,
    log: Callable[[str], None] = print,
) -> dict:
    """Measure a finished run's maps and uncertainty on its validation tiles, and add that to its `results.json`.

    Args:
        run: the folder of a finished run.
        dataset: the data set that it was trained on.
        shuffled: checkpoint in the folder of a control's run, as `training.control` describes it: the same network.
        tiles: on how many the faithfulness of maps is measured, drawn by lot.
        sane: on how many of those the sanity checks are made.
        log: takes one line for each step.

    Returns:
        as from `explain_tiles`, with `date`, `environment`, and of the `control` `tiles` that it learnt, the `size` of
        each in pixels, its `dice` on them in evaluation mode, `epochs`, `best_epoch`, its `start`, and on how many of
        its tiles maps were `compared`.

    Raises:
        InputError: no finished run of our own networks, another data set, a control of another network, or too few
            tiles.
    """
    run, device = as_path(run), torch.device("cpu")
    results = read_finished(run)
    recipe = Recipe(**results["recipe"])
    if recipe.network not in OWN_NETWORKS:
        raise InputError(f"{run}: expected one of the networks {', '.join(OWN_NETWORKS)}, found {recipe.network!r}")
    control, trained = (None, None) if shuffled is None else _load_control(as_path(shuffled), recipe, results["data"])
    cache = prepare(dataset, recipe.image_size, recipe.labels, progress=False)
    if cache.digest != results["data"]["digest"]:
        raise InputError(f"{dataset}: expected the data set of the run, {results['data']['name']}, found another")
    model, _ = load_checkpoint(run / BEST)
    indices = np.array(results["data"]["validation_indices"])
    untrained = untrained_model(recipe, getattr(model, "kinds", ()))
    learnt = None if trained is None else np.array(trained["data"]["validation_indices"])
    explanation = explain_tiles(model, untrained, cache, indices, control, tiles, sane, log=log, learnt=learnt)
    if trained:
        explanation["control"] = {
            "tiles": len(learnt),
            "size": recipe.image_size // 2,
            "dice": trained["training"]["best"]["val_dice"],
            "epochs": trained["training"]["epochs"],
            "best_epoch": trained["training"]["best_epoch"],
            "start": trained["model"]["encoder_start"],
            "compared": min(sane, len(learnt)),
        }
    explanation |= {"date": datetime.now(UTC).date().isoformat(), "environment": describe_environment(device)}
    with locked(run, wait=MERGE_SECONDS):
        write_json(run / RESULTS, read_json(run / RESULTS) | {"explanation": explanation})
    return read_json(run / RESULTS)["explanation"]


def _load_control(weights: Path, recipe: Recipe, data: dict) -> tuple[torch.nn.Module, Results]:
    """Load the control of a run of this recipe and data, and the results that stand beside it."""
    control, _ = load_checkpoint(weights)
    if control.name != recipe.network:
        raise InputError(f"{weights}: expected weights of network {recipe.network!r}, found those of {control.name!r}")
    results = read_finished(weights.parent)
    if not results["recipe"].get("shuffled_masks"):
        raise InputError(f"{weights}: expected a control, trained with `--shuffled-masks`, found a run that was not")
    expected = {"data": data["digest"], "tiles": (recipe.image_size, recipe.labels), "split seed": recipe.split_seed}
    told = Recipe(**results["recipe"])
    found = {"data": results["data"]["digest"], "tiles": (told.image_size, told.labels), "split seed": told.split_seed}
    if other := [name for name in expected if expected[name] != found[name]]:
        raise InputError(f"{weights}: expected a control trained as the run was, found other {', '.join(other)}")
    return control, results


def explain_tiles(
    model: torch.nn.Module,
    untrained: torch.nn.Module,
    cache: Cache,
    indices: np.ndarray,
    shuffled: torch.nn.Module | None = None,
    tiles: int = 100,
    sane: int = 20,
    seed: int = 0,
    log: Callable[[str], None] = print,
    learnt: np.ndarray | None = None,
) -> dict:
    """Measure calibration, uncertainty, failures, and what the maps are worth.

    Args:
        model: the trained network, on the CPU.
        untrained: one of the same architecture at random start; the very start of the trained one is the strictest
            control.
        cache: the data set at the network's size.
        indices: `(n,)` tiles that the network was not trained on.
        shuffled: as in `faithfulness.cascade_correlations`.
        tiles: of them, on which faithfulness is measured.
        sane: of those, on which sanity checks are made.
        seed: of every lot.
        log: takes one line for each step.
        learnt: `(n,)` tiles whose `control.control_window` the control `shuffled` knows by heart; its maps are compared
            there too, on at most `sane` of them. None where they are not known.

    Returns:
        `calibration`, `uncertainty`, `failures`, `sources`, `faithfulness`, `sanity`, and the `preferred` map, all in
        plain numbers.

    Raises:
        InputError: tiles of a single source image, which cannot both fit a temperature and judge it, or nothing that
            is a nucleus or taken for one.
    """
    groups = indices.astype(str) if cache.groups is None else cache.groups[indices]
    if len(np.unique(groups)) < 2:
        raise InputError(
            f"{cache.name}: expected validation tiles of at least 2 source images, found 1: one half of them fits the "
            "temperature that the other judges; take a larger data set"
        )
    images, truth = np.array(cache.images[indices]), np.array(cache.class_maps[indices]) > 0
    logits, uncertainties = measure_uncertainty(model, images)
    predicted = logits >= LOGIT_THRESHOLD
    # A tile without nuclei has none to lose: what is invented there is no failure to find them.
    dice = np.where(truth.any((1, 2)), dice_per_image(count_pixels(predicted, truth)), np.nan)
    log(f"predicted {len(indices)} tiles, under flips and turns and under dropout")
    random = np.random.default_rng(seed)
    promising = np.flatnonzero(predicted.any((1, 2)))
    if not len(promising) or np.isnan(dice).all():
        raise InputError(f"{cache.name}: expected nuclei in the validation tiles, and found by the network; found none")
    chosen = np.sort(random.choice(promising, min(tiles, len(promising)), replace=False))
    curves = measure_maps(model, images[chosen], seed)
    log(f"deleted and inserted by {len(curves)} maps on {len(chosen)} tiles")
    checked = np.sort(random.choice(chosen, min(sane, len(chosen)), replace=False))
    correlations = [cascade_correlations(model, untrained, images[tile], shuffled) for tile in checked]
    log(f"compared maps with those of networks that know nothing of nuclei on {len(checked)} tiles")
    sources = np.array([cache.name if cache.groups is None else source_of(group) for group in groups])
    faithfulness = summarize_faithfulness(curves, groups[chosen])
    sanity = summarize_sanity(correlations)
    if shuffled is not None and learnt is not None:
        window = control_window(cache.image_size)
        by_heart = np.sort(random.choice(learnt, min(sane, len(learnt)), replace=False))
        on_learnt = [control_correlations(model, shuffled, cache.images[tile][window]) for tile in by_heart]
        sanity = {name: sanity[name] | networks for name, networks in summarize_sanity(on_learnt).items()}
        log(f"compared maps with the control's on {len(by_heart)} tiles that it learnt")
    return {
        "tiles": len(indices),
        "groups": len(np.unique(groups)),
        "calibration": summarize_calibration(logits, truth, groups, seed),
        "uncertainty": summarize_uncertainty(uncertainties, predicted, truth, dice, groups),
        "failures": summarize_failures(dice, find_causes(images, truth, cache.nuclei[indices].sum(1)), indices),
        "sources": summarize_sources(predicted, truth, dice, groups, sources),
        "faithfulness": {"tiles": len(chosen), "maps": faithfulness},
        "sanity": {"tiles": len(checked), "maps": sanity},
        "preferred": prefer_map(faithfulness, sanity),
    }
