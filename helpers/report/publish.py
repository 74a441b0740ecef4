"""The only writer of `models/`, `figures/`, the README's results and the notebook's first picture: nothing by hand."""

import base64
import dataclasses
import io
import json
import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from helpers.errors import InputError
from helpers.evaluation.ablation import ABLATION
from helpers.evaluation.subject import open_subject, read_training_tiles
from helpers.files import read_json, write_csv, write_json, written_whole
from helpers.inference.export import export_onnx
from helpers.inference.integers import to_integers
from helpers.inference.trained_model import INT8, ONNX, WEIGHTS, load_model
from helpers.paths import as_path
from helpers.report.card import CARD, model_card
from helpers.report.charts import read_as_jpeg
from helpers.report.comparison import latest_scores
from helpers.report.published_figures import RESULT, draw_figures
from helpers.report.words import headline, result_cell, results_page
from helpers.training.checkpoints import export_weights
from helpers.training.results import BEST, HISTORY, RESULTS, Evaluation, Reported, Results, read_finished

README_MARKS = ("<!-- results -->", "<!-- /results -->")
PAGE = "RESULTS.md"
NOTEBOOK, RESULT_CELL, ATTACHED = "cancer_nuclei_analysis.ipynb", "result", "result.jpg"


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
    run, project = as_path(run), as_path(project)
    results, reported, name = read_finished(run), _reported(project), run.resolve().name
    validation = _validation(results, run)
    if ship and results["recipe"].get("shuffled_masks"):
        raise InputError(f"{run}: expected a model to ship, found a control, trained on the masks of other images")
    if not ship and reported["shipped"] and reported["shipped"]["run"] == name:
        raise InputError(f"{run}: {name} is the shipped run; ship it again (`--ship`), or weights and results part")
    with tempfile.TemporaryDirectory() as temporary:
        made, figures = Path(temporary), {}
        if ship:
            digest = _export(run, results, made / WEIGHTS.name)
            export_onnx(made / WEIGHTS.name, made / ONNX.name)
            # The figures show the shipped weights, as they were rounded, with their temperature and map.
            subject = dataclasses.replace(open_subject(run), model=load_model(made / WEIGHTS.name))
            figures = draw_figures(subject, results, validation, pd.read_csv(run / HISTORY, index_col="epoch"))
            tiles = read_training_tiles(made / WEIGHTS.name, Path(results["data"]["path"]))
            (made / INT8.name).write_bytes(to_integers((made / ONNX.name).read_bytes(), tiles))
            shipped = {"run": name, "file": WEIGHTS.name, "digest": digest}
            reported["shipped"] = shipped | {"evaluations": results["evaluations"]}
        results["data"].pop("path", None)  # of use on this machine alone
        reported["runs"][name] = results
        rows = pd.read_csv(run / HISTORY, dtype=str, keep_default_na=False)
        rows.insert(0, "run", name)
        return _write(project, reported, figures, made, rows)


def publish_scores(weights: Path | None, project: Path) -> list[Path]:
    """Publish what `evaluate` measured of the shipped weights, and draw their card and figures again.

    Args:
        weights: the shipped weights, or the folder that holds them; None for the package's own.
        project: the folder that holds `models/` and `figures/`, where these weights are shipped.

    Returns:
        the files written.

    Raises:
        InputError: these are not the weights that the project ships, or their validation part was never scored.
    """
    subject, project = open_subject(weights), as_path(project)
    reported = _reported(project)
    shipped = reported["shipped"] or {}
    if shipped.get("digest") != subject.model.digest:
        raise InputError(
            f"{subject.name}: expected the weights that {project / 'models'} ships, digest "
            f"{str(shipped.get('digest'))[:12]}, found {subject.model.digest[:12]}; publish their run with `--ship`"
        )
    validation = _validation(subject.results, subject.name)
    history = pd.read_csv(project / "models" / HISTORY, index_col=["run", "epoch"]).loc[shipped["run"]]
    figures = draw_figures(subject, reported["runs"][shipped["run"]], validation, history)
    reported["shipped"] = shipped | {"evaluations": subject.results["evaluations"]}
    with tempfile.TemporaryDirectory() as temporary:
        return _write(project, reported, figures, Path(temporary))


def publish_ablation(folder: Path, project: Path) -> list[Path]:
    """Put what `ablation.run_ablation` wrote into what a project reports; give the files, as `publish_run` does.

    It takes the place of the one on the same data; those on other data stay.
    """
    project = as_path(project)
    reported, ablation = _reported(project), read_json(as_path(folder) / ABLATION)
    others = [other for other in reported.get("ablations", []) if other["data"] != ablation["data"]]
    reported["ablations"] = [*others, ablation]
    with tempfile.TemporaryDirectory() as temporary:
        return _write(project, reported, {}, Path(temporary))


def _validation(results: Results, name: object) -> Evaluation:
    """Give the evaluation on the validation part; an InputError where there is none, or none with nuclei."""
    validation = latest_scores(results["evaluations"]).get("validation")
    if validation is None:
        raise InputError(f"{name}: its validation part was never scored; run `python -m helpers evaluate` on it first")
    if validation["predictors"]["model"]["scores"]["dice"] is None:
        raise InputError(f"{name}: expected nuclei in its validation part, found none, so there is nothing to show")
    return validation


def _export(run: Path, results: Results, path: Path) -> str:
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


def _reported(project: Path) -> Reported:
    path = project / "models" / RESULTS
    return read_json(path) if path.exists() else {"shipped": None, "runs": {}}


def _write(
    project: Path, reported: Reported, figures: dict[str, Figure], made: Path, history: pd.DataFrame | None = None
) -> list[Path]:
    """Make every file in the folder `made`, which holds new weights if there are any; then put all in their places."""
    models = project / "models"
    targets = {path.name: models for path in made.iterdir()}
    for file, figure in figures.items():
        _save_small(figure, made / file)
        plt.close(figure)
    targets |= dict.fromkeys(figures, project / "figures")
    (made / PAGE).write_text(results_page(reported), encoding="utf-8")
    targets[PAGE] = models
    if reported["shipped"]:  # its card and the README set it beside every run
        (made / CARD).write_text(model_card(reported), encoding="utf-8")
        targets[CARD] = models
        if (readme := project / "README.md").exists():
            text = readme_with_results(readme.read_text(encoding="utf-8"), reported)
            (made / readme.name).write_text(text, encoding="utf-8")
            targets[readme.name] = project
        picture = made / RESULT if RESULT in figures else project / "figures" / RESULT
        if (notebook := project / NOTEBOOK).exists() and picture.exists():
            text = notebook_with_result(notebook.read_text(encoding="utf-8"), reported, read_as_jpeg(picture))
            (made / NOTEBOOK).write_text(text, encoding="utf-8")
            targets[NOTEBOOK] = project
    for file, folder in targets.items():
        with written_whole(folder / file) as part:  # the temporary folder may stand on another disk
            shutil.copyfile(made / file, part)
    if figures:
        for stale in (project / "figures").glob("fig[0-9][0-9]_*.png"):
            if stale.name not in figures:
                stale.unlink()
    if WEIGHTS.name in targets:  # one model is shipped: the card beside it tells of no other
        for stale in models.iterdir():
            if stale.suffix in (WEIGHTS.suffix, ONNX.suffix) and stale.name not in targets:
                stale.unlink()
    write_json(models / RESULTS, reported)
    written = [models / RESULTS]
    if history is not None:
        written.append(_add_history(models / HISTORY, history))
    return [*written, *(folder / file for file, folder in targets.items())]


def _add_history(path: Path, rows: pd.DataFrame) -> Path:
    """Put a run's epochs into the reported history, in place of those of an earlier run of that name."""
    if path.exists():
        earlier = pd.read_csv(path, dtype=str, keep_default_na=False)
        rows = pd.concat([earlier[earlier["run"] != rows["run"].iloc[0]], rows])
    write_csv(path, rows.to_dict("records"))
    return path


def readme_with_results(text: str, reported: Reported) -> str:
    """Put the headline between the two marks of a README; a text without the marks comes back unchanged."""
    before, start, rest = text.partition(README_MARKS[0])
    _, end, after = rest.partition(README_MARKS[1])
    return f"{before}{start}\n{headline(reported)}\n{end}{after}" if end else text


def notebook_with_result(text: str, reported: Reported, picture: bytes) -> str:
    """Put the result and its picture, attached, into the notebook's cell `result`; without that cell all stays."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell.get("id") == RESULT_CELL:
            cell["source"] = result_cell(reported, f"attachment:{ATTACHED}").splitlines(keepends=True)
            cell["attachments"] = {ATTACHED: {"image/jpeg": base64.b64encode(picture).decode("ascii")}}
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _save_small(figure: Figure, path: Path) -> None:
    """Save a figure as PNG of 256 colours: tissue then takes a third of the space, and the eye sees no difference."""
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png")
        Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
