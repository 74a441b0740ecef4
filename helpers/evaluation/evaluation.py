"""Scoring a run or weights on whole images at full size, beside what needs no learning."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from tqdm import tqdm

from helpers.config import LABEL_RULES, TILE_SIZE, TILE_UM_PER_PX
from helpers.data.cache import Cache
from helpers.data.fold import find_folds
from helpers.data.prepare import prepare
from helpers.data.stitching import SourceImage, source_images, stitch_labels
from helpers.devices import on_device, pick_device
from helpers.errors import InputError, warn
from helpers.evaluation.baselines import BASELINES
from helpers.evaluation.fill_rules import FILL_RULES, fill_mask, read_outlines
from helpers.evaluation.nuclei_scores import match_kinds, row_of, score_nuclei, summarize_nuclei
from helpers.evaluation.subject import PARTS, Subject, choose_tiles, open_subject
from helpers.evaluation.whole_images import read_tiles, stitch_tiles, through_network_size
from helpers.files import MERGE_SECONDS, locked, read_json, write_json
from helpers.inference.segmentation import predict_logits, segment
from helpers.inference.symmetries import SYMMETRIES
from helpers.inference.tiles import PLAIN
from helpers.inference.trained_model import TrainedModel
from helpers.metrics import COUNT_NAMES, FEWEST_FOR_INTERVAL, bootstrap_interval, count_pixels, scores
from helpers.paths import as_path
from helpers.pictures.outside import find_outside
from helpers.pictures.stain_check import doubt_stain
from helpers.provenance import describe_environment
from helpers.training.comparisons import untrained_model
from helpers.training.results import RESULTS, Evaluation, Predictor

INTERVAL_KEYS = ("dice", "dice_empty_zero", "dice_empty_one", "dice_pooled", "iou", "precision", "recall")
NUCLEI_STEPS = (0, 1, 4, 11, 31)  # where ranges of nuclei in a tile begin


def evaluate(
    source: Path | None,
    dataset: Path,
    device: torch.device | None = None,
    flips_and_turns: bool = False,
    outlines: Path | None = None,
    progress: bool = False,
    part: str = PARTS[0],
) -> Evaluation:
    """Score a model on a data set and add the result to its `results.json`.

    Tiles are stitched to whole images where their positions are known, and go the way of `predict`
    (`segmentation.predict_logits`): the score is of what a user gets. It is held against full-size masks.

    Args:
        source: the folder of a finished run, or weights; None for the shipped ones. Scores of weights are added to
            `runs/NAME OF THE WEIGHTS/results.json`.
        dataset: a folder that `fold.find_folds` understands. The model's own gives its validation part, any other the
            whole (`subject.choose_tiles`).
        device: where to compute; None for the GPU where there is one.
        flips_and_turns: score the network a second time, averaged over the eight symmetries of the square.
        outlines: of the nuclei, as from `fill_rules.read_outlines`; the network is then held against each of
            `fill_rules.FILL_RULES` as well. None to leave that out.
        progress: show a bar on standard error.
        part: of the model's own data set, "validation", or "test" for the test fold of an official split.

    Returns:
        the new entry: `name`, `digest`, `part`, `tiles`, `times_scored`; for each predictor its scores, intervals and
        scores by tissue; the network's scores by number of nuclei in a tile, and by each rule of filling outlines; of
        single nuclei and their kinds, as `summarize_nuclei` gives them; the Dice of perfect labels at the network's
        size; and the network's counts on every image, from which its scores can be computed again.

    Warns:
        InputWarning: the colours of some images are not those of H&E, or have red and blue swapped.

    Raises:
        InputError: nothing that can be scored, a data set that does not fit, one that holds tiles the model was
            trained on, or outlines of other images.
    """
    dataset, subject = as_path(dataset), open_subject(source)
    device = pick_device() if device is None else torch.device(device)
    cache = prepare(dataset, subject.recipe.image_size, subject.recipe.labels, progress)
    part, indices = choose_tiles(subject, cache, part)
    images = source_images(indices, cache.tissues, cache.pictures, cache.positions, cache.extents)
    model = dataclasses.replace(subject.model, network=on_device(subject.model.network, device))
    told = getattr(model.network, "kinds", ())
    kinds = match_kinds(cache.kinds, told)
    untrained = dataclasses.replace(model, network=on_device(untrained_model(subject.recipe, told), device))
    predictors = {"untrained": _network(untrained, device)}
    if flips_and_turns:
        predictors["averaged"] = _network(model, device, SYMMETRIES)
    predictors |= BASELINES
    drawn = None if outlines is None else read_outlines(outlines, [image.name for image in images])
    counts = {name: [] for name in ("model", *predictors, *LABEL_RULES, *(FILL_RULES if drawn else ()))}
    tile_counts, tile_nuclei, nuclei, doubts = [], [], [], {}
    folds = find_folds(dataset)
    for image in tqdm(images, unit="image", desc=f"scoring {cache.name}", disable=not progress):
        tiles = read_tiles(folds, image.indices)
        whole, truth = map(image.crop, stitch_tiles(tiles, image.positions))
        found = segment(model, whole, TILE_UM_PER_PX, device)
        if doubt := doubt_stain(whole, ~find_outside(whole)):
            doubts.setdefault(doubt.partition(" (")[0], []).append(image.name)  # without the image's own numbers
        guesses = {"model": found.mask} | {name: predict(whole) for name, predict in predictors.items()}
        size = subject.recipe.image_size
        for rule in LABEL_RULES:
            guesses[rule] = image.crop(through_network_size(tiles, image.positions, size, rule))
        for name, guess in guesses.items():
            counts[name].append(count_pixels(guess[None], truth[None])[0])
        for rule in FILL_RULES if drawn else ():
            filled = fill_mask(drawn[image.name], truth.shape, rule)
            counts[rule].append(count_pixels(guesses["model"][None], filled[None])[0])
        cuts = (_cut(values, image.positions) for values in (guesses["model"], truth))
        tile_counts += [count_pixels(guess[None], true[None]) for guess, true in zip(*cuts, strict=True)]
        tile_nuclei.append(cache.nuclei[image.indices].sum(1))
        kinds_known, apart = cache.annotated[image.indices].all(0)
        numbers = image.crop(stitch_labels(tiles.instances, image.positions))
        nuclei.append(score_nuclei(found, numbers, kinds if kinds_known else None) if apart else None)
    for doubt, names in doubts.items():
        warn(
            f"{cache.name}: of {len(names)} of {len(images)} images, such as {names[0]}, {doubt}; their scores mean "
            "nothing: save them anew"
        )
    tissues, units = np.array([image.tissue for image in images]), _units(images, cache)
    rows = map(_row, images, counts["model"])
    entry = {
        "name": cache.name,
        "digest": cache.digest,
        "part": part,
        "tiles": len(indices),
        "void_tiles": int(cache.void[indices].sum()),
        "threshold": float(expit(model.threshold_logit)),
        "times_scored": 1,
        "date": datetime.now(UTC).date().isoformat(),
        "environment": describe_environment(device),
        "predictors": {name: summarize(np.array(counts[name]), images, cache) for name in ("model", *predictors)},
        "by_nuclei": score_by_nuclei(np.concatenate(tile_counts), np.concatenate(tile_nuclei)),
        "fill_rules": {rule: summarize(np.array(counts[rule]), images, cache) for rule in FILL_RULES if drawn},
        "perfect_labels_dice": {rule: scores(np.array(counts[rule]))["dice"] for rule in LABEL_RULES},
        "nuclei": summarize_nuclei(nuclei, tissues, units, kinds),
        "images": [row | row_of(one) for row, one in zip(rows, nuclei, strict=True)],
    }
    return _add(entry, subject, dataset)


def _add(entry: Evaluation, subject: Subject, dataset: Path) -> Evaluation:
    """Add an entry to what stands in the model's folder by now, in place of an earlier one of the same data."""
    subject.folder.mkdir(parents=True, exist_ok=True)
    with locked(subject.folder, wait=MERGE_SECONDS):
        path = subject.folder / RESULTS
        results = read_json(path) if path.exists() else subject.results
        if results.get("weights") != subject.results.get("weights"):
            raise InputError(f"{path}: other weights of this name were scored meanwhile; move that folder away")
        evaluations, key = results["evaluations"], f"{entry['name']}:{entry['digest'][:12]}"
        key += ":test" if entry["part"] == "test" else ""  # beside the validation part of the same data
        # The same data under another name is the same test set: its scorings count on.
        same = (entry["digest"], entry["part"] == "test")
        earlier = [name for name, old in evaluations.items() if (old["digest"], old["part"] == "test") == same]
        if not entry["fill_rules"]:  # measured before, of the same weights and data
            entry["fill_rules"] = next((evaluations[other].get("fill_rules", {}) for other in earlier), {})
        entry["times_scored"] += sum(evaluations[other]["times_scored"] for other in earlier)
        results["evaluations"] = {other: value for other, value in evaluations.items() if other not in earlier}
        results["evaluations"][key] = entry  # the newest last
        if entry["part"] == "validation":
            results["data"]["path"] = str(dataset.resolve())  # left out of what is published
        write_json(path, results)
    return entry


def summarize(counts: np.ndarray, images: list[SourceImage], cache: Cache) -> Predictor:
    """Score images together and by tissue.

    Args:
        counts: `(N, 4)`, as from `metrics.count_pixels`.
        images: the N images.
        cache: the data set they are of.

    Returns:
        `scores`, `scores_without_void` (None without void tiles), `intervals` (95 %, by source image), `by_tissue`.
    """
    units = _units(images, cache)
    tissues = np.array([image.tissue for image in images])
    void = np.array([cache.void[image.indices].all() for image in images])
    by_tissue = {}
    for tissue in np.unique(tissues).tolist():
        chosen = tissues == tissue
        by_tissue[tissue] = scores(counts[chosen]) | {"interval": _interval(counts[chosen], units[chosen], "dice")}
    return {
        "scores": scores(counts),
        "scores_without_void": scores(counts[~void]) if void.any() else None,
        "intervals": {key: _interval(counts, units, key) for key in INTERVAL_KEYS},
        "units": len(np.unique(units)),
        "by_tissue": by_tissue,
    }


def score_by_nuclei(counts: np.ndarray, nuclei: np.ndarray) -> dict[str, dict]:
    """Score tiles by how many nuclei they hold; what few there are in a tile weighs more there.

    Args:
        counts: `(N, 4)` of the tiles, as from `metrics.count_pixels`.
        nuclei: `(N,)`, nuclei in each tile.

    Returns:
        range of numbers, such as "1-3", to scores; ranges without a tile are left out.
    """
    rows = {}
    for low, high in zip(NUCLEI_STEPS, (*NUCLEI_STEPS[1:], np.inf), strict=True):
        chosen = (nuclei >= low) & (nuclei < high)
        name = f"{low}-{high - 1}" if low + 1 < high < np.inf else f"{low}" if high < np.inf else f"{low} or more"
        if chosen.any():
            rows[name] = scores(counts[chosen])
    return rows


def _network(
    model: TrainedModel, device: torch.device, symmetries: tuple[tuple[int, bool], ...] = PLAIN
) -> Callable[[np.ndarray], np.ndarray]:
    """Give what takes an image `(H, W, 3)` at the tiles' scale to its mask."""

    def predict(image: np.ndarray) -> np.ndarray:
        return predict_logits(model, image, TILE_UM_PER_PX, device, symmetries) >= model.threshold_logit

    return predict


def _cut(whole: np.ndarray, positions: np.ndarray) -> list[np.ndarray]:
    """Cut `(H, W)` into its n tiles again, without what they had of padding."""
    return [whole[row : row + TILE_SIZE, column : column + TILE_SIZE] for row, column in positions]


def _units(images: list[SourceImage], cache: Cache) -> np.ndarray:
    """Give the source of each image, from which intervals draw."""
    return np.array([image.name if cache.groups is None else cache.groups[image.indices[0]] for image in images])


def _interval(counts: np.ndarray, units: np.ndarray, key: str) -> tuple[float, float] | None:
    return bootstrap_interval(counts, units, key) if len(np.unique(units)) >= FEWEST_FOR_INTERVAL else None


def _row(image: SourceImage, counts: np.ndarray) -> dict:
    return {"name": image.name, "tissue": image.tissue} | dict(zip(COUNT_NAMES, counts.tolist(), strict=True))
