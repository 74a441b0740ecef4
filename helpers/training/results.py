"""What a run's folder holds, and reading what a finished one reached."""

from pathlib import Path

from helpers.errors import InputError
from helpers.files import read_json

BEST, LAST = "best_model.pth", "last.pth"
HISTORY, RESULTS = "history.csv", "results.json"


def read_finished(run: Path) -> dict:
    """Read the results of a finished run.

    Returns:
        what its `results.json` holds: `recipe`, `data`, `model`, `training`, `environment`, `evaluations`, and
        `explanation` where there is one.

    Raises:
        InputError: there is none in this folder, or the run is not finished.
    """
    results = read_json(Path(run) / RESULTS)
    if "training" not in results:
        raise InputError(f"{run}: expected the folder of a run, found the scores of weights; give the run's folder")
    if results["training"]["status"] != "finished":
        raise InputError(f"{run}: expected a finished run, found one after {results['training']['epochs']} epochs")
    return results
