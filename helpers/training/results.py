"""What a run's folder holds, the shape of its results, and reading what a finished run reached.

Results live as JSON: the types name what stands where and are plain dictionaries when the code runs.
"""

from pathlib import Path
from typing import NotRequired, TypedDict

from helpers.errors import InputError
from helpers.files import read_json
from helpers.paths import as_path

BEST, LAST = "best_model.pth", "last.pth"
HISTORY, RESULTS = "history.csv", "results.json"
PARTS = {"recipe", "data", "model", "training", "environment", "evaluations"}  # of a run's results


class Predictor(TypedDict):
    """What one way to find nuclei scores on a set; a score is None where it is not defined."""

    scores: dict[str, float | int | None]  # as from `metrics.scores`
    scores_without_void: dict[str, float | int | None] | None  # None without void tiles
    intervals: dict[str, list[float] | None]  # 95 %, by source image
    units: int  # what the bootstrap draws from
    by_tissue: dict[str, dict]  # tissue to its scores and the `interval` of its Dice


class KindScores(TypedDict):
    """How well the kinds of nuclei are told, over the images whose kinds are known."""

    rows: list[dict]  # of each kind `name`, numbers of nuclei, F1 and how often one that was found is named rightly
    names: list[str]  # of the rows and columns of `confusion`, which has one more of each
    confusion: list[list[int]]  # as from `instance_summary.count_kinds`
    images: int
    judged: list[str]  # the kinds that the balanced accuracy is a mean over
    balanced_accuracy: float | None  # of nuclei that were found, how often their kind is right: mean over kinds
    balanced_interval: NotRequired[list[float] | None]  # by source image


class NucleiScores(TypedDict):
    """How well single nuclei are told apart and found."""

    scores: dict[str, float | int | None]  # as from `instance_summary.summarize`
    intervals: dict[str, list[float] | None]  # 95 %, by source image
    units: int  # what the bootstrap draws from
    true: int  # nuclei
    predicted: int
    kinds: KindScores | None  # None where they are not known, or the model tells none


class Evaluation(TypedDict):
    """A model's scores on one set, beside what needs no learning."""

    name: str
    digest: str  # of images and masks
    part: str  # "validation", "test" (the test fold of an official split) or "all"
    tiles: int
    void_tiles: int
    threshold: float  # a probability
    times_scored: int
    date: str
    environment: dict[str, object]
    predictors: dict[str, Predictor]
    by_nuclei: dict[str, dict]  # range of nuclei in a tile to scores
    fill_rules: NotRequired[dict[str, Predictor]]  # rule of filling outlines to the network's scores by it
    perfect_labels_dice: dict[str, float]
    nuclei: NotRequired[NucleiScores | None]  # None where none are told apart
    images: list[dict]  # name, tissue, the pixels counted, and where nuclei are told apart PQ, AJI and their numbers


class Results(TypedDict):
    """What `results.json` of a run holds; scores of weights have no `training` and name their `weights`."""

    recipe: dict[str, object]  # a `config.Recipe`
    data: dict  # name, digest, split, tiles and groups of the parts
    model: dict  # parameters, and what they started from
    training: NotRequired[dict]  # status, epochs, the best one, seconds, perhaps a `note` on how it went
    weights: NotRequired[dict[str, str]]  # file and digest
    environment: dict[str, object]
    evaluations: dict[str, Evaluation]
    explanation: NotRequired[dict]  # as from `explanation.explain_run`


class Shipped(TypedDict):
    """The shipped weights and their scores."""

    run: str
    file: str
    digest: str
    evaluations: dict[str, Evaluation]


class Reported(TypedDict):
    """What `models/results.json` holds: all that was published."""

    shipped: Shipped | None
    runs: dict[str, Results]
    ablations: NotRequired[list[dict]]  # as from `ablation.run_ablation`, one for each data set


def read_finished(run: Path) -> Results:
    """Read the results of a finished run.

    Returns:
        what its `results.json` holds.

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
