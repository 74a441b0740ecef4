"""What each step from the report's recipe to `strong` is worth, and what other networks would be worth: the ablation.

Every row is judged on the same validation tiles against majority labels at the network's size, whatever labels it was
trained on; only so do the rows compare. A row is that of its best epoch by its own validation Dice, as always.
"""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from helpers.config import AUGMENTATIONS, LOGIT_THRESHOLD, RECIPES, Recipe
from helpers.data.cache import Cache
from helpers.data.prepare import prepare
from helpers.devices import pick_device
from helpers.errors import InputError
from helpers.files import read_json, write_csv, write_json
from helpers.inference.batches import predict_tiles
from helpers.metrics import COUNT_NAMES, count_pixels, paired_bootstrap, scores
from helpers.paths import as_path
from helpers.training.checkpoints import load_checkpoint
from helpers.training.results import BEST
from helpers.training.run import train_run

ABLATION, TILES = "ablation.json", "validation_tiles.csv"
TRUTH = "majority"  # the labels that judge every row
EPOCHS, IMAGE_SIZE = 20, 128  # what the report spent


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table."""

    recipe: Recipe  # with seed 0; its name is the row's
    compared_with: str | None  # the row that it changes in one thing, None for the first
    seeds: tuple[int, ...] = (0,)  # a run is trained for each


# Each step keeps the ones before it.
LADDER = {
    "report": {"epochs": EPOCHS, "image_size": IMAGE_SIZE, "pretrained": False, "stop_early": False},
    "majority-labels": {"labels": "majority"},
    "equal-weights": {"class_weights": "equal"},
    "larger-steps": {"batch_size": 16, "accumulation_steps": 1, "learning_rate": 2e-3, "weight_decay": 2e-2},
    "cosine": {"schedule": "cosine"},
    "turns": {"augmentation": AUGMENTATIONS[:2]},
    "warps": {"augmentation": AUGMENTATIONS[:4]},
    "stain-colour": {"augmentation": AUGMENTATIONS[:6]},
    "blur-noise": {"augmentation": AUGMENTATIONS},
    "strong": {"averaging_decay": 0.995},
}
# Each of these changes `strong`, and nothing else.
VARIANTS = {
    "stem1": {"network": "unet-stem1"},
    "wide": {"network": "unet-wide"},
    "narrow": {"network": "unet-narrow"},
    "boundary": {"boundary_weight": 2.0},
    "smp-unet": {"network": "smp-unet"},
    "smp-fpn": {"network": "smp-fpn"},
    "smp-deeplabv3plus": {"network": "smp-deeplabv3plus"},
}
# What ImageNet's weights are worth to an encoder: the row that each is compared with, and what it changes there.
STARTS = {
    "b0-imagenet": ("strong", {"pretrained": True}),
    "lite0": ("strong", {"network": "lite0-detail"}),
    "lite0-imagenet": ("lite0", {"pretrained": True}),
}
THREE_SEEDS = {"report", "strong", "smp-unet", "lite0", "lite0-imagenet"}


def _build_rows() -> dict[str, Row]:
    rows, recipe, before = {}, RECIPES["report"], None
    for name, changes in LADDER.items():
        recipe = dataclasses.replace(recipe, name=name, **changes)
        rows[name], before = Row(recipe, before), name
    rows |= {name: Row(dataclasses.replace(recipe, name=name, **changes), before) for name, changes in VARIANTS.items()}
    for name, (other, changes) in STARTS.items():
        rows[name] = Row(dataclasses.replace(rows[other].recipe, name=name, **changes), other)
    return {
        name: dataclasses.replace(row, seeds=(0, 1, 2)) if name in THREE_SEEDS else row for name, row in rows.items()
    }


ROWS = _build_rows()


def run_ablation(
    dataset: Path,
    out: Path,
    rows: Sequence[str] | None = None,
    device: torch.device | None = None,
    workers: int = 0,
    log: Callable[[str], None] = print,
    drop_copies: bool = False,
) -> dict:
    """Train and judge rows of the ablation; what an earlier call has finished is not trained again.

    Args:
        dataset: a folder that `fold.find_folds` understands; prepared if it is not yet.
        out: the folder of the ablation. It comes to hold a run `ROW-SEED` for each row and seed, in it the counts of
            every validation tile (`validation_tiles.csv`), and `ablation.json`, written after each row.
        rows: names of `ROWS`; None for all of them. Rows made before stay in the file.
        device: where to compute; None for the GPU where there is one.
        workers: processes that load and augment tiles.
        log: takes one line for each epoch.
        drop_copies: leave out tiles that repeat the image of another, as `split.split_tiles` does.

    Returns:
        what `ablation.json` holds: `data`; and `rows`, for each its `changed` fields, `recipe`, `seeds`, Dice of each
        seed (`dice`), their `mean` and `spread` (highest less lowest), `n` tiles with nuclei, `parameters`, `seconds` a
        run took on `device`; and against the row it is `compared_with`, over the seeds that both have, the
        `difference`, its 95 % `interval` over source images and whether that holds 0 (`noise`), null until both exist.
        The interval knows nothing of chance in training: for that, look at the spread.

    Raises:
        InputError: a row that is not known, or a folder with an ablation of other data or by other recipes.
    """
    out, device = as_path(out), device or pick_device()
    if unknown := set(rows or ()) - set(ROWS):
        raise InputError(f"row {', '.join(sorted(unknown))}: expected names among {', '.join(ROWS)}")
    ablation = _take_up(out / ABLATION)
    for name in (name for name in ROWS if rows is None or name in rows):
        row = ROWS[name]
        cache = prepare(dataset, row.recipe.image_size, TRUTH, progress=False)
        if ablation["data"].get("digest", cache.digest) != cache.digest:
            raise InputError(f"{out / ABLATION}: holds an ablation on other data; give a new folder")
        made = ablation["rows"] | {name: _make_row(dataset, out, row, cache, device, workers, log, drop_copies)}
        ablation = {
            "data": {"name": cache.name, "digest": cache.digest, "truth": TRUTH},
            "rows": {other: made[other] for other in ROWS if other in made},
        }
        _compare(ablation["rows"], out)
        write_json(out / ABLATION, ablation)
    return read_json(out / ABLATION)


def judge_run(run: Path, cache: Cache, indices: np.ndarray, device: torch.device) -> None:
    """Count the pixels of a finished run's best network and write them to `validation_tiles.csv` in its folder.

    Counted are the tiles `indices` `(n,)` of a cache at the network's size, with the labels that judge.
    """
    model, _ = load_checkpoint(run / BEST)
    predicted = predict_tiles(model, cache.images[indices], device) >= LOGIT_THRESHOLD
    counts = count_pixels(predicted, cache.class_maps[indices] > 0)
    # Where source images are not known, each tile stands for itself.
    groups = indices if cache.groups is None else cache.groups[indices]
    table = [
        {"tile": tile, "group": group} | dict(zip(COUNT_NAMES, of_tile, strict=True))
        for tile, group, of_tile in zip(indices.tolist(), groups.tolist(), counts.tolist(), strict=True)
    ]
    write_csv(run / TILES, table)


def read_counts(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read what `judge_run` wrote: counts `(n, 4)` int64, as from `metrics.count_pixels`, and groups `(n,)` str."""
    with path.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    counts = np.array([[int(row[name]) for name in COUNT_NAMES] for row in table])
    return counts, np.array([row["group"] for row in table])


def describe_change(before: Recipe, after: Recipe) -> str:
    """Say in which fields two recipes differ, name and seed apart.

    >>> describe_change(Recipe("a"), Recipe("b", labels="majority", augmentation=("flips", "turns")))
    'labels majority, augmentation + turns'
    """
    changes, old = [], dataclasses.asdict(before)
    for name, new in dataclasses.asdict(after).items():
        if name not in ("name", "seed") and new != old[name]:
            shown = f"+ {' + '.join(item for item in new if item not in old[name])}" if isinstance(new, tuple) else new
            changes.append(f"{name.replace('_', ' ')} {shown}")
    return ", ".join(changes)


def _make_row(
    dataset: Path, out: Path, row: Row, cache: Cache, device: torch.device, workers: int, log: Callable[[str], None],
    drop_copies: bool,
) -> dict:  # fmt: skip
    """Train and judge the runs of a row; describe it without its comparison."""
    results, counts = [], []
    for seed in row.seeds:
        recipe, run = dataclasses.replace(row.recipe, seed=seed), out / f"{row.recipe.name}-{seed}"
        result = train_run(
            dataset, run, recipe, device=device, workers=workers, drop_copies=drop_copies,
            log=lambda line, run=run: log(f"{run.name}  {line}"),
        )  # fmt: skip
        if not (run / TILES).exists():
            judge_run(run, cache, np.array(result["data"]["validation_indices"]), device)
        results.append(result)
        counts.append(read_counts(run / TILES)[0])
    dice = [scores(of_run)["dice"] for of_run in counts]
    before = ROWS[row.compared_with].recipe if row.compared_with else RECIPES["report"]
    return {
        "changed": describe_change(before, row.recipe),
        "compared_with": row.compared_with,
        "recipe": dataclasses.asdict(row.recipe),
        "seeds": list(row.seeds),
        "dice": dice,
        "mean": float(np.mean(dice)),
        "spread": max(dice) - min(dice) if len(dice) > 1 else None,
        "n": scores(counts[0])["n_with_nuclei"],
        "parameters": results[0]["model"]["parameters"],
        "seconds": float(np.mean([result["training"]["seconds"] for result in results])),
        "device": results[0]["environment"]["device"],
    }


def _take_up(path: Path) -> dict:
    """Read the rows made before, and check that they were made by today's recipes."""
    if not path.exists():
        return {"data": {}, "rows": {}}
    ablation = read_json(path)
    for name, entry in ablation["rows"].items():
        recipe = Recipe(**entry["recipe"] | {"augmentation": tuple(entry["recipe"]["augmentation"])})
        if name not in ROWS or recipe != ROWS[name].recipe:
            raise InputError(f"{path}: row {name} was made by another recipe than today's; give a new folder")
    return ablation


def _compare(rows: dict[str, dict], out: Path) -> None:
    """Set each row against the one it changes, where both are made."""
    for name, entry in rows.items():
        entry |= {"difference": None, "interval": None, "noise": None}
        reference = rows.get(entry["compared_with"])
        if reference is None:
            continue
        # Several seeds are so many predictions for each tile: the difference becomes the mean of theirs.
        seeds = [seed for seed in entry["seeds"] if seed in reference["seeds"]]
        (ours, groups), (theirs, _) = (
            map(np.concatenate, zip(*(read_counts(out / f"{row}-{seed}" / TILES) for seed in seeds), strict=True))
            for row in (name, entry["compared_with"])
        )
        difference, low, high = paired_bootstrap(ours, theirs, groups)
        entry |= {"difference": difference, "interval": [low, high], "noise": low <= 0 <= high if low == low else None}
