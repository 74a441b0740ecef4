"""What a network's maps, doubts and probabilities are worth, measured together on tiles that it was not trained on."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from helpers.checkpoints import load_checkpoint
from helpers.config import THRESHOLD, Recipe
from helpers.doubt import measure_doubts
from helpers.errors import InputError
from helpers.evidence import (
    prefer_map,
    summarize_calibration,
    summarize_doubts,
    summarize_failures,
    summarize_faithfulness,
    summarize_sanity,
    summarize_sources,
)
from helpers.failures import find_causes
from helpers.faithfulness import cascade_correlations, measure_maps
from helpers.files import read_json, write_json
from helpers.metrics import count_pixels, dice_per_image
from helpers.networks import untrained_model
from helpers.prepare import Cache, prepare
from helpers.provenance import describe_environment
from helpers.runs import BEST, RESULTS


def explain_run(
    run: Path,
    dataset: Path,
    shuffled: Path | None = None,
    tiles: int = 100,
    sane: int = 20,
    log: Callable[[str], None] = print,
) -> dict:
    """Measure a finished run's explanations and doubt on its validation tiles; add them to the run's `results.json`.

    Args:
        run: the folder of a finished run.
        dataset: the data set that it was trained on.
        shuffled: checkpoint of the same network, trained on images with the masks of others.
        tiles: on how many the faithfulness of maps is measured, drawn by lot.
        sane: on how many of those the sanity checks are made.
        log: takes one line for each step.

    Returns:
        as from `explain_tiles`, with `date` and `environment`.

    Raises:
        InputError: no finished run, another data set, a shuffled network of another architecture, or too few tiles.
    """
    run, device = Path(run), torch.device("cpu")
    results = read_json(run / RESULTS)
    recipe = Recipe(**results["recipe"])
    cache = prepare(dataset, recipe.image_size, recipe.labels, progress=False)
    if results["training"]["status"] != "finished" or cache.digest != results["data"]["digest"]:
        raise InputError(f"{run}: expected a finished run on {dataset}, found one on {results['data']['name']}")
    model, _ = load_checkpoint(run / BEST)
    control = None if shuffled is None else load_checkpoint(shuffled)[0]
    if control is not None and control.name != model.name:
        raise InputError(f"{shuffled}: expected weights of network {model.name!r}, found those of {control.name!r}")
    indices = np.array(results["data"]["validation_indices"])
    explanation = explain_tiles(model, untrained_model(recipe), cache, indices, control, tiles, sane, log=log)
    explanation |= {"date": datetime.now(UTC).date().isoformat(), "environment": describe_environment(device)}
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
) -> dict:
    """Measure calibration, doubt, failures, and what the maps are worth.

    Args:
        model: the trained network, on the CPU.
        untrained: one of the same architecture at random start.
        cache: the data set at the network's size.
        indices: `(n,)` tiles that the network was not trained on.
        shuffled: as in `faithfulness.cascade_correlations`.
        tiles: of them, on which faithfulness is measured.
        sane: of those, on which sanity checks are made.
        seed: of every lot.
        log: takes one line for each step.

    Returns:
        `calibration`, `doubt`, `failures`, `sources`, `faithfulness`, `sanity`, and the `preferred` map, all in plain
        numbers.

    Raises:
        InputError: tiles of a single source image, which cannot both fit a temperature and judge it.
    """
    if cache.groups is not None and len(np.unique(cache.groups[indices])) < 2:
        raise InputError(
            f"{cache.name}: expected validation tiles of at least 2 source images, found 1: one half of them fits the "
            "temperature that the other judges; take a larger data set"
        )
    images, truth = np.array(cache.images[indices]), np.array(cache.class_maps[indices]) > 0
    groups = indices.astype(str) if cache.groups is None else cache.groups[indices]
    probabilities, doubts = measure_doubts(model, images)
    predicted = probabilities >= THRESHOLD
    dice = dice_per_image(count_pixels(predicted, truth))
    log(f"predicted {len(indices)} tiles, under flips and turns and under dropout")
    random = np.random.default_rng(seed)
    promising = np.flatnonzero(predicted.any((1, 2)))
    chosen = np.sort(random.choice(promising, min(tiles, len(promising)), replace=False))
    curves = measure_maps(model, images[chosen], seed)
    log(f"deleted and inserted by {len(curves)} maps on {len(chosen)} tiles")
    checked = np.sort(random.choice(chosen, min(sane, len(chosen)), replace=False))
    correlations = [cascade_correlations(model, untrained, images[tile], shuffled) for tile in checked]
    log(f"compared maps with those of networks that know nothing on {len(checked)} tiles")
    faithfulness = summarize_faithfulness(curves, groups[chosen])
    sanity = summarize_sanity(correlations)
    return {
        "tiles": len(indices),
        "groups": len(np.unique(groups)),
        "calibration": summarize_calibration(probabilities, truth, groups, seed),
        "doubt": summarize_doubts(doubts, predicted, truth, dice, groups),
        "failures": summarize_failures(dice, find_causes(images, truth, cache.nuclei[indices].sum(1)), indices),
        "sources": summarize_sources(predicted, truth, dice, groups),
        "faithfulness": {"tiles": len(chosen), "maps": faithfulness},
        "sanity": {"tiles": len(checked), "maps": sanity},
        "preferred": prefer_map(faithfulness, sanity),
    }
