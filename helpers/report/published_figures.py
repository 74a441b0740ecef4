"""The figures that are published with a shipped run: which tiles they show is decided by rule, and not by eye."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helpers.config import Recipe
from helpers.data.cache import Cache
from helpers.data.fold import find_folds
from helpers.data.prepare import prepare
from helpers.errors import InputError
from helpers.evaluation.evaluation import read_tiles
from helpers.explanation.examine import examine
from helpers.explanation.grad_cam import METHODS
from helpers.inference.trained_model import TrainedModel
from helpers.report.charts import plot_history, plot_predictor_scores, plot_scores_by_tissue
from helpers.report.examples import (
    attention_maps,
    augmented_views,
    one_tile_per_tissue,
    ranked_examples,
    region_maps,
    show_worst,
)
from helpers.report.explanation_figures import plot_cascade, plot_deletion_insertion, plot_doubt
from helpers.report.overlays import plot_attention, plot_examination, plot_predictions, plot_tiles, plot_views
from helpers.report.tables import PREDICTOR_NAMES
from helpers.training.checkpoints import load_checkpoint
from helpers.training.comparisons import untrained_model
from helpers.training.run import BEST, HISTORY

VIEWS = 7  # of each tile in the figure of the augmentation
WORST = 4  # tiles shown


def draw_run(run: Path, results: dict, validation: dict) -> dict[str, Figure]:
    """Draw what a run learnt from, how it went and what it reached.

    Args:
        run: the folder of a finished run.
        results: what its `results.json` holds.
        validation: its evaluation on its validation part.

    Returns:
        file name to figure.

    Raises:
        InputError: the data set has changed since the run.
    """
    recipe, training = Recipe(**results["recipe"]), results["training"]
    dataset = Path(results["data"]["path"])
    model, _ = load_checkpoint(run / BEST)
    cache = _prepared(results)
    indices = np.array(results["data"]["validation_indices"])
    chosen = one_tile_per_tissue(cache, indices)
    tiles = read_tiles(find_folds(dataset), chosen)
    training_tiles = np.setdiff1d(np.arange(len(cache)), indices)
    chosen_training = one_tile_per_tissue(cache, training_tiles, most=3)
    examples = ranked_examples(model, cache, indices)
    median = next((example.image for example in examples if example.title.startswith("median")), examples[0].image)
    maps = attention_maps({"trained": model, "untrained": untrained_model(recipe)}, median, METHODS)
    return {
        "fig01_tiles.png": plot_tiles(tiles.images, tiles.class_maps, cache.tissues[chosen], _is_typed(cache)),
        "fig02_training.png": plot_history(
            pd.read_csv(run / HISTORY, index_col="epoch"), training["best_epoch"], training["early_stopping_epoch"]
        ),
        "fig03_scores.png": plot_predictor_scores(validation, PREDICTOR_NAMES),
        "fig04_tissues.png": plot_scores_by_tissue(
            validation["predictors"]["model"]["by_tissue"], validation["predictors"]["model"]["scores"]["dice"]
        ),
        "fig05_predictions.png": plot_predictions(examples),
        "fig06_attention.png": plot_attention(median, maps),
        "fig07_augmentation.png": plot_views(
            [augmented_views(cache, int(index), recipe, VIEWS) for index in chosen_training]
        ),
        "fig08_regions.png": plot_attention(median, region_maps(model, median)),
    }


def draw_explanation(results: dict, model: TrainedModel) -> dict[str, Figure]:
    """Draw what a run's explanation measured, the panel of one tile, and the worst tiles.

    Args:
        results: what a run's `results.json` holds; without an explanation there is nothing to draw.
        model: the run's network.

    Returns:
        file name to figure.
    """
    if (explanation := results.get("explanation")) is None:
        return {}
    cache = _prepared(results)
    indices = np.array(results["data"]["validation_indices"])
    median = indices[np.argsort(cache.nuclei[indices].sum(1), kind="stable")[len(indices) // 2]]
    tile = read_tiles(find_folds(Path(results["data"]["path"])), np.array([median])).images[0]
    return {
        "fig09_faithfulness.png": plot_deletion_insertion(explanation),
        "fig10_sanity.png": plot_cascade(explanation),
        "fig11_doubt.png": plot_doubt(explanation),
        "fig12_examination.png": plot_examination(examine(tile, model=model)),
        "fig13_worst.png": plot_predictions(show_worst(model.network, cache, explanation["failures"]["worst"][:WORST])),
    }


def _prepared(results: dict) -> Cache:
    recipe, dataset = Recipe(**results["recipe"]), Path(results["data"]["path"])
    cache = prepare(dataset, recipe.image_size, recipe.labels, progress=False)
    if cache.digest != results["data"]["digest"]:
        raise InputError(f"{dataset}: the data set has changed since the run; restore it")
    return cache


def _is_typed(cache: Cache) -> bool:
    """Tell whether every tissue has nuclei of several classes; sets without classes put all into one channel."""
    return all((cache.nuclei[cache.tissues == tissue].sum(0) > 0).sum() > 1 for tissue in np.unique(cache.tissues))
