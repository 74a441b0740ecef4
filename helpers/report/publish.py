"""The only writer of `models/`, `figures/` and the README's results: what a run gives, nothing typed by hand."""

import io
import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from helpers.errors import InputError
from helpers.evaluation.ablation import ABLATION
from helpers.files import read_json, write_csv, write_json, written_whole
from helpers.inference.trained_model import WEIGHTS, load_model
from helpers.report.card import CARD, model_card
from helpers.report.published_figures import draw_explanation, draw_run
from helpers.report.words import headline
from helpers.training.checkpoints import export_weights
from helpers.training.run import BEST, HISTORY, RESULTS

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
    if ship and results["recipe"].get("shuffled_masks"):
        raise InputError(f"{run}: expected a model to ship, found a control, trained on the masks of other images")
    reported = _reported(models / RESULTS)
    name = run.resolve().name
    if not ship and reported["shipped"] and reported["shipped"]["run"] == name:
        raise InputError(f"{run}: {name} is the shipped run; ship it again (`--ship`), or weights and results part")
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        figures, targets = {}, {}
        if ship:
            digest = _export(run, results, made / WEIGHTS.name)
            figures = draw_run(run, results, validation) | draw_explanation(results, load_model(made / WEIGHTS.name))
            for file, figure in figures.items():
                _save_small(figure, made / file)
                plt.close(figure)
            reported["shipped"] = {"run": name, "file": WEIGHTS.name, "digest": digest}
            targets[WEIGHTS.name] = models
        results["data"].pop("path")  # of use on this machine alone
        reported["runs"][name] = results
        if reported["shipped"]:  # its card sets it beside every run
            (made / CARD).write_text(model_card(reported), encoding="utf-8")
            targets[CARD] = models
        targets |= dict.fromkeys(figures, project / "figures")
        for file, folder in targets.items():
            with written_whole(folder / file) as part:  # the temporary folder may stand on another disk
                shutil.copyfile(made / file, part)
        if ship:
            for stale in (project / "figures").glob("fig[0-9][0-9]_*.png"):
                if stale.name not in figures:
                    stale.unlink()
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


def _export(run: Path, results: dict, path: Path) -> str:
    """Write a run's best weights, with the temperature and the map that its explanation found to be worth it."""
    chosen = {}
    if explanation := results.get("explanation"):
        calibration = explanation["calibration"]
        before, after = (calibration[name]["expected_calibration_error"] for name in ("before", "after"))
        if after < before:  # on the half that did not fit it
            chosen["temperature"] = calibration["temperature"]
        if explanation["preferred"]:
            chosen["attention"] = explanation["preferred"]
    return export_weights(run / BEST, path, **chosen)


def _reported(path: Path) -> dict:
    return read_json(path) if path.exists() else {"shipped": None, "runs": {}}


def _add_history(path: Path, name: str, history: Path) -> None:
    """Put a run's epochs into the reported history, in place of those of an earlier run of that name."""
    rows = pd.read_csv(history, dtype=str, keep_default_na=False)
    rows.insert(0, "run", name)
    if path.exists():
        earlier = pd.read_csv(path, dtype=str, keep_default_na=False)
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


def _update_readme(path: Path, reported: dict) -> list[Path]:
    if not path.exists():
        return []
    with written_whole(path) as temporary:
        temporary.write_text(readme_with_results(path.read_text(encoding="utf-8"), reported), encoding="utf-8")
    return [path]
