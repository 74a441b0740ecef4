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
from helpers.explanation.control_maps import compare_control, describe_control, load_control
from helpers.explanation.faithfulness import cascade_correlations, measure_maps
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
from helpers.training.results import BEST, RESULTS, read_finished


def explain_run(
    run: Path,
    dataset: Path,
    shuffled: Path | None = None,
    tiles: int = 100,
    sane: int = 20,
    log: Callable[[str], None] = print,
    control_alone: bool = False,
) -> dict:
    """Measure a finished run's maps and uncertainty on its validation tiles, and add that to its `results.json`.

    Args:
        run: the folder of a finished run.
        dataset: the data set that it was trained on.
        shuffled: checkpoint in the folder of a control's run, as `training.control` describes it: the same network.
        tiles: on how many the faithfulness of maps is measured, drawn by lot.
        sane: on how many of those the sanity checks are made.
        log: takes one line for each step.
        control_alone: keep what was measured before, and add the comparison with the control `shuffled`.

    Returns:
        as from `explain_tiles`, with `date`, `environment`, and `control`, as from `control_maps.describe_control`.

    Raises:
        InputError: no finished run of our own networks, another data set, a control of another network or data set,
            too few tiles, or a control alone and no explanation that it could be added to.
    """
    run, device = as_path(run), torch.device("cpu")
    results = read_finished(run)
    recipe = Recipe(**results["recipe"])
    if recipe.network not in OWN_NETWORKS:
        raise InputError(f"{run}: expected one of the networks {', '.join(OWN_NETWORKS)}, found {recipe.network!r}")
    if control_alone and (shuffled is None or "explanation" not in results):
        raise InputError(f"{run}: expected an explanation, and a control to add to it, found none; explain it first")
    control, trained = (None, None) if shuffled is None else load_control(as_path(shuffled), recipe, results["data"])
    cache = prepare(dataset, recipe.image_size, recipe.labels, progress=False)
    if cache.digest != results["data"]["digest"]:
        raise InputError(f"{dataset}: expected the data set of the run, {results['data']['name']}, found another")
    model, _ = load_checkpoint(run / BEST)
    indices = np.array(results["data"]["validation_indices"])
    learnt = None if trained is None else np.array(trained["data"]["validation_indices"])
    if control_alone:
        explanation = add_control(results["explanation"], model, control, cache, indices, learnt, sane)
    else:
        untrained = untrained_model(recipe, getattr(model, "kinds", ()))
        explanation = explain_tiles(model, untrained, cache, indices, control, tiles, sane, log=log, learnt=learnt)
        explanation |= {"date": datetime.now(UTC).date().isoformat(), "environment": describe_environment(device)}
    if trained:
        explanation["control"] = describe_control(trained)
    with locked(run, wait=MERGE_SECONDS):
        write_json(run / RESULTS, read_json(run / RESULTS) | {"explanation": explanation})
    return read_json(run / RESULTS)["explanation"]


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
        shuffled: a control, as in `control_maps.compare_control`.
        tiles: of them, on which faithfulness is measured.
        sane: of those, on which sanity checks are made.
        seed: of every lot.
        log: takes one line for each step.
        learnt: `(n,)` tiles that the control knows by heart; None where they are not known.

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
    correlations = [cascade_correlations(model, untrained, images[tile]) for tile in checked]
    log(f"compared maps with those of networks that know nothing of nuclei on {len(checked)} tiles")
    sources = np.array([cache.name if cache.groups is None else source_of(group) for group in groups])
    faithfulness = summarize_faithfulness(curves, groups[chosen])
    sanity = summarize_sanity(correlations)
    explanation = {
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
    if shuffled is None:
        return explanation
    log("comparing maps with the control's, on tiles that it learnt and on others")
    return add_control(explanation, model, shuffled, cache, indices, learnt, sane, seed)


def add_control(
    explanation: dict,
    model: torch.nn.Module,
    control: torch.nn.Module,
    cache: Cache,
    indices: np.ndarray,
    learnt: np.ndarray | None = None,
    most: int = 20,
    seed: int = 0,
) -> dict:
    """Add to an explanation, as from `explain_tiles`, what `compare_control` finds, and judge maps by it too.

    The arguments are theirs. The explanation given is left as it is.
    """
    compared = compare_control(model, control, cache, indices, learnt, most, seed)
    told, maps = explanation["sanity"], explanation["faithfulness"]["maps"]
    sanity = {name: networks | compared.get(name, {}) for name, networks in told["maps"].items()}
    return explanation | {"sanity": told | {"maps": sanity}, "preferred": prefer_map(maps, sanity)}
