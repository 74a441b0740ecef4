"""What a run's folder holds, and reading what a finished one reached."""

from pathlib import Path

from helpers.errors import InputError
from helpers.files import read_json
from helpers.paths import as_path

BEST, LAST = "best_model.pth", "last.pth"
HISTORY, RESULTS = "history.csv", "results.json"
PARTS = {"recipe", "data", "model", "training", "environment", "evaluations"}  # of a run's results


def read_finished(run: Path) -> dict:
    """Read the results of a finished run.

    Returns:
        what its `results.json` holds: `recipe`, `data`, `model`, `training`, `environment`, `evaluations`, and
        `explanation` where there is one.

    Raises:
        InputError: there is none in this folder, or the run is not finished.
    """
    run = as_path(run)
    results = read_json(run / RESULTS) if (run / RESULTS).is_file() else None
    if not isinstance(results, dict) or not results.keys() >= PARTS:
        found = f"a {RESULTS} of something else, such as scores of weights" if results is not None else "none in it"
        found = found if run.is_dir() else "a file" if run.exists() else "nothing there"
        raise InputError(
            f"{run}: expected the folder of a finished run, found {found}; give a folder that `python -m helpers "
            "train` filled"
        )
    if results["training"]["status"] != "finished":
        raise InputError(
            f"{run}: expected a finished run, found one after {results['training']['epochs']} epochs; give `train` the "
            "same arguments again, and it goes on"
        )
    return results
