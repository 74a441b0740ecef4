"""The only writer of `models/`, `figures/` and the README's results: what a run gives, nothing typed by hand."""

import io
import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from helpers.ablation import ABLATION
from helpers.card import CARD, model_card
from helpers.checkpoints import load_checkpoint
from helpers.config import Recipe
from helpers.errors import InputError
from helpers.evaluation import read_tiles
from helpers.examples import attention_maps, augmented_views, one_tile_per_tissue, ranked_examples
from helpers.figures import plot_history, plot_predictor_scores, plot_scores_by_tissue
from helpers.files import read_json, write_csv, write_json, written_whole
from helpers.fold import find_folds
from helpers.narrative import headline
from helpers.networks import untrained_model
from helpers.overlays import plot_attention, plot_predictions, plot_tiles, plot_views
from helpers.prepare import Cache, prepare
from helpers.runs import BEST, HISTORY, RESULTS
from helpers.shipped import WEIGHTS, export_weights
from helpers.tables import PREDICTOR_NAMES

VIEWS = 7  # of each tile in the figure of the augmentation
README_MARKS = ("<!-- results -->", "<!-- /results -->")


def publish_run(run: Path, project: Path, ship: bool = False) -> list[Path]:
    """Add a finished run to what a project reports; shipped, its weights, card and figures replace those there.

    Everything is made before anything is replaced.

    Args:
        run: the folder of a finished run whose validation part has been scored; its name is that of the run.
        project: the folder that holds `models/` and `figures/`.
        ship: make this run's network the shipped model.

    Returns:
        the files written.

    Raises:
        InputError: the run is not finished, not scored or has no nuclei to score; its data set is no longer where it
            was; it is the shipped one and `ship` is off; or its network is none that can be shipped.
    """
    run, project = Path(run), Path(project)
    models = project / "models"
    results = read_json(run / RESULTS)
    if results["training"]["status"] != "finished":
        raise InputError(f"{run}: expected a finished run, found one after {results['training']['epochs']} epochs")
    validation = next((entry for entry in results["evaluations"].values() if entry["part"] == "validation"), None)
    if validation is None:
        raise InputError(f"{run}: its validation part was never scored; run `python -m helpers evaluate` on it first")
    if validation["predictors"]["model"]["scores"]["dice"] is None:
        raise InputError(f"{run}: expected nuclei in its validation part, found none, so there is nothing to show")
    reported = _reported(models / RESULTS)
    name = run.resolve().name
    if not ship and reported["shipped"] and reported["shipped"]["run"] == name:
        raise InputError(f"{run}: {name} is the shipped run; ship it again (`--ship`), or weights and results part")
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        figures = _draw(run, results, validation) if ship else {}
        for file, figure in figures.items():
            _save_small(figure, made / file)
            plt.close(figure)
        results["data"].pop("path")  # of use on this machine alone
        reported["runs"][name] = results
        targets = {}
        if ship:
            digest = export_weights(run / BEST, made / WEIGHTS.name)
            reported["shipped"] = {"run": name, "file": WEIGHTS.name, "digest": digest}
            targets[WEIGHTS.name] = models
        if reported["shipped"]:  # its card sets it beside every run
            (made / CARD).write_text(model_card(reported), encoding="utf-8")
            targets[CARD] = models
        targets |= dict.fromkeys(figures, project / "figures")
        if ship:
            for stale in (project / "figures").glob("fig[0-9][0-9]_*.png"):
                stale.unlink()
        for file, folder in targets.items():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(made / file, folder / file)
    write_json(models / RESULTS, reported)
    _add_history(models / HISTORY, name, run / HISTORY)
    return [
        models / RESULTS,
        models / HISTORY,
        *(folder / file for file, folder in targets.items()),
        *_update_readme(project / "README.md", reported),
    ]


def publish_ablation(folder: Path, project: Path) -> list[Path]:
    """Put an ablation into what a project reports, in place of an earlier one; its rows may still be few.

    Args:
        folder: where `ablation.run_ablation` has written.
        project: the folder that holds `models/`.

    Returns:
        the files written.
    """
    path = Path(project) / "models" / RESULTS
    write_json(path, _reported(path) | {"ablation": read_json(Path(folder) / ABLATION)})
    return [path]


def _reported(path: Path) -> dict:
    return read_json(path) if path.exists() else {"shipped": None, "runs": {}}


def _add_history(path: Path, name: str, history: Path) -> None:
    """Put a run's epochs into the reported history, in place of those of an earlier run of that name."""
    rows = pd.read_csv(history)
    rows.insert(0, "run", name)
    if path.exists():
        earlier = pd.read_csv(path)
        rows = pd.concat([earlier[earlier["run"] != name], rows])
    write_csv(path, rows.to_dict("records"))


def readme_with_results(text: str, reported: dict) -> str:
    """Put the headline between the two marks of a README; a text without the marks comes back unchanged."""
    before, start, rest = text.partition(README_MARKS[0])
    _, end, after = rest.partition(README_MARKS[1])
    return f"{before}{start}\n{headline(reported)}\n{end}{after}" if end else text


def _save_small(figure: Figure, path: Path) -> None:
    """Save a figure as PNG of 256 colours: tissue then takes a third of the space, and the eye sees no difference."""
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png")
        Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _is_typed(cache: Cache) -> bool:
    """Tell whether every tissue has nuclei of several classes; sets without classes put all into one channel."""
    return all((cache.nuclei[cache.tissues == tissue].sum(0) > 0).sum() > 1 for tissue in np.unique(cache.tissues))


def _update_readme(path: Path, reported: dict) -> list[Path]:
    if not path.exists():
        return []
    with written_whole(path) as temporary:
        temporary.write_text(readme_with_results(path.read_text(encoding="utf-8"), reported), encoding="utf-8")
    return [path]


def _draw(run: Path, results: dict, validation: dict) -> dict[str, Figure]:
    """Draw the figures of a run: file name to figure."""
    recipe, training = Recipe(**results["recipe"]), results["training"]
    dataset = Path(results["data"]["path"])
    model, _ = load_checkpoint(run / BEST)
    cache = prepare(dataset, recipe.image_size, recipe.labels, progress=False)
    if cache.digest != results["data"]["digest"]:
        raise InputError(f"{dataset}: the data set has changed since the run; restore it")
    indices = np.array(results["data"]["validation_indices"])
    chosen = one_tile_per_tissue(cache, indices)
    tiles = read_tiles(find_folds(dataset), chosen)
    training_tiles = np.setdiff1d(np.arange(len(cache)), indices)
    chosen_training = one_tile_per_tissue(cache, training_tiles, most=3)
    examples = ranked_examples(model, cache, indices)
    median = next((example.image for example in examples if example.title.startswith("median")), examples[0].image)
    maps = attention_maps({"trained": model, "untrained": untrained_model(recipe)}, median)
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
    }
