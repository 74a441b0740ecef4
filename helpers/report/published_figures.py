"""The figures that are published with the shipped model: which tiles they show is decided by rule, and not by eye."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helpers.config import TILE_SIZE, TILE_UM_PER_PX
from helpers.data.cache import Cache
from helpers.data.fold import find_folds
from helpers.data.prepare import prepare
from helpers.data.stitching import source_images, stitch_labels
from helpers.errors import InputError
from helpers.evaluation.evaluation import read_tiles, stitch_tiles
from helpers.evaluation.subject import Subject, choose_tiles
from helpers.explanation.examine import examine
from helpers.explanation.grad_cam import METHODS
from helpers.inference.instances import list_nuclei
from helpers.inference.predict import predict
from helpers.metrics import COUNT_NAMES
from helpers.report.charts import (
    plot_areas,
    plot_cascade,
    plot_deletion_insertion,
    plot_history,
    plot_predictor_scores,
    plot_scores_by_tissue,
    plot_uncertainty,
)
from helpers.report.examples import (
    attention_maps,
    augmented_views,
    one_tile_per_tissue,
    rank_examples,
    ranked_examples,
    region_maps,
    show_worst,
    true_nuclei,
)
from helpers.report.overlays import (
    plot_attention,
    plot_examination,
    plot_nuclei,
    plot_predictions,
    plot_result,
    plot_tiles,
    plot_views,
)
from helpers.report.tables import PREDICTOR_NAMES
from helpers.training.comparisons import untrained_model
from helpers.training.results import Evaluation, Results

RESULT = "fig00_result.png"
VIEWS = 7  # of each tile in the figure of the augmentation
WORST = 4  # tiles shown


def draw_figures(subject: Subject, run: Results, validation: Evaluation, history: pd.DataFrame) -> dict[str, Figure]:
    """Draw what a model learnt from, how that went, what it reached, and what its explanation measured.

    Args:
        subject: the model; `data["path"]` among its results is where its data set stands.
        run: the results of the run it came from.
        validation: its evaluation on the validation part.
        history: of the run, indexed by epoch.

    Returns:
        file name to figure.

    Raises:
        InputError: the data set has changed since it was scored.
    """
    dataset, recipe, network = Path(subject.results["data"]["path"]), subject.recipe, subject.model.network
    cache = prepare(dataset, recipe.image_size, recipe.labels, progress=False)
    if cache.digest != validation["digest"]:
        raise InputError(f"{dataset}: the data set has changed since the model was scored on it; restore it")
    _, indices = choose_tiles(subject, cache)
    training, scored = run["training"], validation["predictors"]["model"]
    chosen = one_tile_per_tissue(cache, indices)
    tiles = read_tiles(find_folds(dataset), chosen)
    chosen_training = one_tile_per_tissue(cache, np.setdiff1d(np.arange(len(cache)), indices), most=3)
    examples = ranked_examples(network, cache, indices)
    median = next((example.image for example in examples if example.title.startswith("median")), examples[0].image)
    untrained = untrained_model(recipe, getattr(network, "kinds", ()))
    maps = attention_maps({"trained": network, "untrained": untrained}, median, METHODS)
    figures = {
        RESULT: _draw_result(subject, cache, indices, validation),
        "fig01_tiles.png": plot_tiles(tiles.images, tiles.class_maps, cache.tissues[chosen], _is_typed(cache)),
        "fig02_training.png": plot_history(history, training["best_epoch"], training["early_stopping_epoch"]),
        "fig03_scores.png": plot_predictor_scores(validation, PREDICTOR_NAMES),
        "fig04_tissues.png": plot_scores_by_tissue(scored["by_tissue"], scored["scores"]["dice"]),
        "fig05_predictions.png": plot_predictions(examples),
        "fig06_attention.png": plot_attention(median, maps),
        "fig07_augmentation.png": plot_views(
            [augmented_views(cache, int(index), recipe, VIEWS) for index in chosen_training]
        ),
        "fig08_regions.png": plot_attention(median, region_maps(network, median)),
    }
    if explanation := run.get("explanation"):
        middle = indices[np.argsort(cache.nuclei[indices].sum(1), kind="stable")[len(indices) // 2]]
        tile = read_tiles(find_folds(dataset), np.array([middle])).images[0]
        worst = show_worst(network, cache, explanation["failures"]["worst"][:WORST])
        figures |= {
            "fig09_faithfulness.png": plot_deletion_insertion(explanation),
            "fig10_sanity.png": plot_cascade(explanation),
            "fig11_uncertainty.png": plot_uncertainty(explanation),
            "fig12_examination.png": plot_examination(examine(tile, TILE_UM_PER_PX, subject.model)),
            "fig13_worst.png": plot_predictions(worst),
        }
    if validation.get("nuclei"):
        figures |= _draw_nuclei(subject, cache, indices, validation)
    return figures


def _draw_result(subject: Subject, cache: Cache, indices: np.ndarray, validation: Evaluation) -> Figure:
    """Draw the validation image with the median Dice; of a large one its middle, as large as a tile."""
    counts = np.array([[row[key] for key in COUNT_NAMES] for row in validation["images"]])
    name = validation["images"][rank_examples(counts)["median"]]["name"]
    whole, numbers, _ = _read_image(subject, cache, indices, name)
    found, window = predict(whole, TILE_UM_PER_PX, subject.model).mask, _middle(numbers)
    return plot_result(whole[window], found[window], numbers[window] > 0)


def _draw_nuclei(subject: Subject, cache: Cache, indices: np.ndarray, validation: Evaluation) -> dict[str, Figure]:
    """Draw single nuclei of the validation images: best, median and worst by PQ, and areas where kinds are known."""
    rows = sorted((row for row in validation["images"] if row.get("pq") is not None), key=lambda row: -row["pq"])
    places = {"best": 0, "median": len(rows) // 2, "worst": len(rows) - 1}
    examples, areas, mm2 = {}, [], 0.0
    for place, row in enumerate(rows):
        titles = [f"{title}: PQ {row['pq']:.2f}" for title, at in places.items() if at == place]
        whole, numbers, kinds = _read_image(subject, cache, indices, row["name"])
        if not (titles or kinds):
            continue
        found = predict(whole, TILE_UM_PER_PX, subject.model)
        window = _middle(numbers)
        ids, numbered = np.unique(np.append(0, found.instances[window]), return_inverse=True)
        shown = numbered[1:].reshape(numbers[window].shape), found.nuclei["kind"][ids[1:] - 1]
        for title in titles:
            examples[title] = whole[window], {"found": shown, "drawn by people": true_nuclei(numbers[window], kinds)}
        if kinds:
            labels, told = true_nuclei(numbers, kinds)
            mm2 += numbers.size * (TILE_UM_PER_PX / 1000) ** 2
            drawn = list_nuclei(labels.astype(np.int32), numbers > 0, None, (), TILE_UM_PER_PX)["area_um2"]
            sides = ("found", found.nuclei["kind"], found.nuclei["area_um2"]), ("drawn by people", told, drawn)
            areas += [pd.DataFrame({"side": side, "kind": kind, "area_um2": area}) for side, kind, area in sides]
    figures = {"fig14_nuclei.png": plot_nuclei(examples)}
    return figures | ({"fig15_areas.png": plot_areas(pd.concat(areas), mm2)} if areas else {})


def _read_image(
    subject: Subject, cache: Cache, indices: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Read an image `(H, W, 3)`, the numbers of its nuclei `(H, W)`, and what its kinds are, none if not known."""
    images = source_images(indices, cache.tissues, cache.pictures, cache.positions, cache.extents)
    image = next(image for image in images if image.name == name)
    tiles = read_tiles(find_folds(Path(subject.results["data"]["path"])), image.indices)
    whole, _ = stitch_tiles(tiles, image.positions)
    kinds = cache.kinds if cache.annotated[image.indices, 0].all() else ()
    return image.crop(whole), image.crop(stitch_labels(tiles.instances, image.positions)), kinds


def _middle(values: np.ndarray) -> tuple[slice, slice]:
    """Give the window in the middle of `(H, W)` values that is as large as a tile, or all of a smaller one."""
    top, left = (max(0, length - TILE_SIZE) // 2 for length in values.shape)
    return np.s_[top : top + TILE_SIZE, left : left + TILE_SIZE]


def _is_typed(cache: Cache) -> bool:
    """Tell whether every tissue has nuclei of several classes; sets without classes put all into one channel."""
    return all((cache.nuclei[cache.tissues == tissue].sum(0) > 0).sum() > 1 for tissue in np.unique(cache.tissues))
