"""What can be scored: a finished run, or shipped weights; and on which tiles of its own data set it may be."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.config import OFFICIAL_SPLITS, RECIPES, Recipe
from helpers.data.cache import Cache
from helpers.data.prepare import prepare
from helpers.errors import InputError, warn
from helpers.files import read_json
from helpers.inference.trained_model import WEIGHTS, TrainedModel, find_weights, load_model
from helpers.paths import as_path
from helpers.sources import Seen
from helpers.training.checkpoints import load_checkpoint
from helpers.training.results import BEST, RESULTS, Results, read_finished

PARTS = ("validation", "test")  # of the model's own data set
SCORES = Path("runs")  # where the scores of weights are put, in a folder with the weights' name


@dataclass(frozen=True)
class Subject:
    """A model to score.

    Attributes:
        name: the run or the weights, as messages name them.
        model: the network with its scale and threshold, as `predict` uses it.
        recipe: what it was trained by, which gives the same network untrained.
        data: what is known of its own data set: `digest`, `validation_indices` and `validation_groups`, or nothing.
        folder: its scores stand in `results.json` there.
        results: what is to stand there already: a run's results, or which weights these are.
    """

    name: str
    model: TrainedModel
    recipe: Recipe
    data: dict
    folder: Path
    results: Results


def open_subject(source: Path | None = None) -> Subject:
    """Open what is to be scored.

    Args:
        source: the folder of a finished run, a `.safetensors` file, or a folder that holds one; None for the shipped
            weights.

    Raises:
        InputError: it is neither, it is damaged, or its folder of scores holds those of other weights.
    """
    source = WEIGHTS if source is None else as_path(source)
    weights = None if (source / BEST).exists() else find_weights(source)
    return _open_run(source) if weights is None else _open_weights(weights)


def _open_run(run: Path) -> Subject:
    results = read_finished(run)
    network, about = load_checkpoint(run / BEST)
    model = TrainedModel(network, about["um_per_px"], seen=Seen.read(about))
    return Subject(str(run), model, Recipe(**results["recipe"]), results["data"], run, results)


def _open_weights(path: Path) -> Subject:
    model, folder = load_model(path), SCORES / path.stem
    results = {"weights": {"file": path.name, "digest": model.digest}, "data": {}, "evaluations": {}}
    if (folder / RESULTS).exists():
        found = read_json(folder / RESULTS)
        if found.get("weights") != results["weights"]:
            raise InputError(
                f"{folder / RESULTS}: expected scores of {path.name} with the digest {model.digest[:12]}, found those "
                "of something else; move that folder away"
            )
        results = found
    recipe = dataclasses.replace(
        RECIPES["strong"], network=model.network.name, image_size=model.network.img_size, pretrained=False
    )
    data = {}
    if (published := path.with_name(RESULTS)).exists():  # as `publish` lays it beside the shipped weights
        reported = read_json(published)
        if (reported.get("shipped") or {}).get("digest") == model.digest:
            run = reported["runs"][reported["shipped"]["run"]]
            recipe, data = Recipe(**run["recipe"]), run["data"]
    return Subject(str(path), model, recipe, data, folder, results)


def choose_tiles(subject: Subject, cache: Cache, part: str = PARTS[0]) -> tuple[str, np.ndarray]:
    """Choose the tiles of a data set that a model may be scored on: none that it was trained on.

    Of the model's own data set those are the validation tiles. A data set that holds tiles it was trained on and is
    not that one to the byte, as when its masks were drawn anew, gives the tiles of its validation groups, if it has all
    of them. Tiles are known again by their pixels or by the names of their sources.

    Args:
        subject: the model.
        cache: the data set.
        part: "test" for the test fold of the official split that the model was trained by, on its own data set alone.

    Returns:
        "validation", "test" or "all", and `(n,)` tile numbers.

    Raises:
        InputError: it was trained on some of them, and no groups tell the others apart; or it has no test fold here.

    Warns:
        InputWarning: sources among them chose the model's epoch; or tiles of the test fold are left out, for it was
            trained on the same pixels.
    """
    if part == "test":
        return part, _choose_test_fold(subject, cache)
    everything = np.arange(len(cache))
    if cache.digest == subject.data.get("digest"):
        return "validation", np.array(subject.data["validation_indices"])
    seen, spoke = cache.find_seen(everything, subject.model.seen)
    present = set() if cache.groups is None else set(cache.groups.tolist())
    if not seen.any():
        if chose := present.intersection(subject.model.seen.validation_groups):
            warn(
                f"{cache.name}: found {len(chose)} source images that chose the epoch of {subject.name}, such as "
                f"{min(chose)}, which flatters its score"
            )
        return "all", everything
    groups = set(subject.data.get("validation_groups") or subject.model.seen.validation_groups)
    if groups and groups <= present:
        kept = np.flatnonzero(np.isin(cache.groups, list(groups)))
        if not seen[kept].any():
            return "validation", kept
    raise InputError(
        f"{cache.name}: {subject.name} was trained on {seen.sum()} of these {len(cache)} tiles ({spoke}); score it on "
        "others, or the run, or the project's own weights in a clone, on the very data set it was trained on, which "
        "gives its validation part"
    )


def read_training_tiles(weights: Path | None, dataset: Path, count: int = 64) -> np.ndarray:
    """Read tiles that weights were trained on, spread evenly over their data set: the same ones each time.

    Args:
        weights: as for `load_model`; None for the shipped ones.
        dataset: the data set they were trained on, or one that holds some of its tiles; they are known by their pixels.
        count: tiles at most.

    Returns:
        `(n, image_size, image_size, 3)` uint8, RGB, at the network's scale.

    Raises:
        InputError: the weights or the data set cannot be read, or they were trained on none of its tiles.
    """
    model = load_model(WEIGHTS if weights is None else weights)
    cache = prepare(dataset, model.network.img_size, "majority")  # of its labels nothing is used
    seen = np.flatnonzero(np.isin(cache.tile_digests, model.seen.training_tiles))
    if not len(seen):
        raise InputError(
            f"{cache.name}: expected tiles that {weights or WEIGHTS} was trained on, found none among {len(cache)}; "
            "give the very data set it was trained on"
        )
    return cache.images[seen[np.linspace(0, len(seen) - 1, min(count, len(seen))).round().astype(int)]]


def _choose_test_fold(subject: Subject, cache: Cache) -> np.ndarray:
    method = subject.data.get("split", "").split(", ")[0]
    own = cache.digest == subject.data.get("digest")
    if not (own and cache.official and method.startswith("official")):
        split = f"a model divided by {method}" if own and method else "a model of another data set"
        raise InputError(
            f"{cache.name}: expected the three folds that {subject.name} was trained on by an official split, found "
            f"{split}; train it with `--split 1`, 2 or 3, or leave out `--part test`"
        )
    _, _, test = OFFICIAL_SPLITS[int(method.removeprefix("official "))]
    tiles = np.flatnonzero(np.array(cache.official)[cache.fold_numbers] == test)
    seen, spoke = cache.find_seen(tiles, subject.model.seen)
    if seen.any():
        warn(
            f"{cache.name}: {subject.name} was trained on {seen.sum()} of the {len(tiles)} tiles of its test fold "
            f"({spoke}); these are left out"
        )
    return tiles[~seen]
