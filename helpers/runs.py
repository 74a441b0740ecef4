"""A training run: a folder that a recipe fills, epoch by epoch, and that can be taken up again."""

import dataclasses
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from helpers.checkpoints import load_checkpoint, save_checkpoint
from helpers.config import TILE_SIZE, TILE_UM_PER_PX, Recipe
from helpers.encoder_weights import PRETRAINED_MOMENTUM, load_imagenet_weights
from helpers.errors import InputError
from helpers.files import file_digest, read_json, write_csv, write_json
from helpers.losses import BinarySegLoss, balanced_class_weights
from helpers.model import count_parameters, set_batch_norm_momentum
from helpers.networks import COMPARISONS, untrained_model
from helpers.prepare import Cache, prepare
from helpers.provenance import describe_environment
from helpers.schedule import best_epoch, early_stopping_epoch, make_scheduler
from helpers.shipped import load_model
from helpers.split import Split, split_tiles
from helpers.tiles import make_loaders, nuclei_share, start_epoch
from helpers.training import average_weights, evaluate_model, pick_device, train_epoch

BEST, LAST, HISTORY, RESULTS = "best_model.pth", "last.pth", "history.csv", "results.json"


def train_run(
    dataset: Path,
    run: Path,
    recipe: Recipe,
    official: int | None = None,
    device: torch.device | None = None,
    init: Path | None = None,
    workers: int = 0,
    progress: bool = False,
    log: Callable[[str], None] = print,
) -> dict:
    """Train by a recipe, or take up a run where it stopped.

    Args:
        dataset: a folder that `fold.find_folds` understands; prepared if it is not yet.
        run: the folder of the run. It comes to hold `best_model.pth` (highest validation Dice), `last.pth`,
            `history.csv` (a row an epoch) and `results.json`.
        recipe: what to do.
        official: one of PanNuke's official splits, where the data set is its three folds.
        device: where to compute; None for the GPU where there is one.
        init: weights to start from, a checkpoint or the shipped model's .safetensors; None for the start that the
            recipe names.
        workers: processes that load and augment tiles.
        progress: show a bar for each epoch on standard error.
        log: takes one line for each epoch.

    Returns:
        what `results.json` holds.

    Raises:
        InputError: the data set does not fit, the folder holds a run of another recipe or data set, or the start that
            is asked for does not fit the network.
    """
    run, device = Path(run), device or pick_device()
    cache = prepare(dataset, recipe.image_size, recipe.labels, progress)
    split = split_tiles(cache, recipe.split_seed, official)
    identity = {"recipe": dataclasses.asdict(recipe), "data": cache.digest, "split": split.method}
    identity["init"] = None if init is None else file_digest(init)
    state = _take_up(run, identity) or _start(recipe, identity, init)
    _check_unseen(state, cache, split)
    if _finished(state, recipe):
        log(f"{run}: finished after {len(state['history'])} epochs")

    model = state["model"].to(device, memory_format=torch.channels_last)
    share = nuclei_share(cache, split.train)
    if not 0 < share < 1:
        raise InputError(
            f"{dataset}: expected nuclei and background in the training tiles, found {share:.0%} nuclei pixels"
        )
    class_weights = balanced_class_weights(share) if recipe.class_weights == "balanced" else torch.ones(2)
    data = _describe_data(dataset, cache, split) | {"nuclei_share": share, "class_weights": class_weights.tolist()}
    criterion = BinarySegLoss(class_weights, recipe.bce_weight, recipe.dice_weight, recipe.boundary_weight)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    scheduler = make_scheduler(optimizer, recipe)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
    movers = {"optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    judged = model
    if recipe.averaging_decay:
        movers["average"] = average = average_weights(model, optimizer, recipe.averaging_decay)
        judged = average.module
    for name, mover in movers.items():
        if name in state:
            mover.load_state_dict(state[name])
    train_loader, validation_loader = make_loaders(cache, split, recipe, workers)
    history = state["history"]
    while not _finished(state, recipe):
        epoch, started = len(history) + 1, time.perf_counter()
        learning_rate = optimizer.param_groups[0]["lr"]
        start_epoch(train_loader, epoch)
        train_loss = train_epoch(
            model, train_loader, criterion, optimizer, device, scaler,
            accumulation_steps=recipe.accumulation_steps, max_grad_norm=recipe.max_grad_norm, progress=progress,
        )  # fmt: skip
        validation = evaluate_model(judged, validation_loader, criterion, device)
        scheduler.step(*([validation["loss"]] if recipe.schedule == "plateau" else []))
        row = {"epoch": epoch, "learning_rate": learning_rate, "train_loss": train_loss}
        row |= {f"val_{name}": value for name, value in validation.items()}
        row["seconds"] = round(time.perf_counter() - started, 1)
        history.append(row)
        _save(run, model, judged, state, {name: mover.state_dict() for name, mover in movers.items()}, cache, split)
        log(
            f"epoch {epoch:2d}/{recipe.epochs}  train loss {train_loss:.3f}  validation loss {validation['loss']:.3f}  "
            f"Dice {validation['dice']:.3f}  took {row['seconds']:.1f} s"
        )
        _report(run, state, recipe, data, device)
    return _report(run, state, recipe, data, device)


def _finished(state: dict, recipe: Recipe) -> bool:
    history = state["history"]
    stopped = recipe.stop_early and early_stopping_epoch(history, recipe.early_stopping_patience) is not None
    return stopped or len(history) >= recipe.epochs


def _start(recipe: Recipe, identity: dict, init: Path | None) -> dict:
    state = {"history": [], "identity": identity, "earlier_tiles": []}
    if init is None:
        if recipe.pretrained and recipe.network in COMPARISONS:
            raise InputError(f"network {recipe.network!r}: it can only start at random; set `pretrained` to False")
        model = untrained_model(recipe)
        encoder_start = load_imagenet_weights(model) if recipe.pretrained else "random"
        return state | {"model": model, "encoder_start": encoder_start}
    model, earlier_tiles = _load_weights(init)
    if model.name != recipe.network:
        raise InputError(f"{init}: expected weights of network {recipe.network!r}, found those of {model.name!r}")
    model.img_size, model.dropout.p = recipe.image_size, recipe.dropout
    return state | {"model": model, "encoder_start": f"{init.parent.name}/{init.name}", "earlier_tiles": earlier_tiles}


def _load_weights(init: Path) -> tuple[nn.Module, list[str]]:
    """Load weights to start from, shipped or of a checkpoint, and the digests of the tiles they have seen."""
    if init.suffix == ".safetensors":
        shipped = load_model(init)
        return shipped.network, list(shipped.training_tiles)
    model, about = load_checkpoint(init)
    if "training_tiles" not in about:
        raise InputError(f"{init}: does not say which tiles it was trained on, so they might validate it")
    return model, about["training_tiles"]


def _check_unseen(state: dict, cache: Cache, split: Split) -> None:
    """Refuse weights to start from that were trained on tiles which would now judge them."""
    if seen := int(cache.find_seen(split.validation, state["earlier_tiles"]).sum()):
        raise InputError(
            f"{cache.name}: the weights to start from were trained on {seen} of the {len(split.validation)} validation "
            "tiles, which would flatter them; take another split seed, or other weights"
        )


def _take_up(run: Path, identity: dict) -> dict | None:
    """Load the last checkpoint of a run, if there is one, and check that it is a run of the same thing."""
    if not (run / LAST).exists():
        if (run / BEST).exists() or (run / RESULTS).exists():
            raise InputError(f"{run}: holds results but no {LAST}, so it cannot be taken up; give a new folder")
        return None
    model, state = load_checkpoint(run / LAST)
    if "identity" not in state:
        raise InputError(f"{run / LAST}: expected the last state of a run, found weights alone; give a new folder")
    recipe = state["identity"]["recipe"]
    # What an older run does not name had today's default, except that its seed drew the split as well.
    recipe = dataclasses.asdict(Recipe(recipe["name"])) | {"split_seed": recipe["seed"]} | recipe
    before = {**state["identity"], **recipe}
    now = {**identity, **identity["recipe"]}
    if other := [
        f"{key} {before.get(key)!r}, now {now[key]!r}" for key in now if key != "recipe" and before.get(key) != now[key]
    ]:
        raise InputError(f"{run}: holds a run with {'; '.join(other)}; give a new folder or the same arguments")
    if state["encoder_start"] == "imagenet":
        set_batch_norm_momentum(model.encoder, PRETRAINED_MOMENTUM)  # which is not saved with the weights
    return {"earlier_tiles": []} | state | {"model": model}  # an older run has no earlier tiles


def _save(
    run: Path, model: nn.Module, judged: nn.Module, state: dict, movers: dict, cache: Cache, split: Split
) -> None:
    """Write best and last, in the order that lets a run stopped in between repeat its epoch."""
    about = {
        "um_per_px": TILE_UM_PER_PX * TILE_SIZE / model.img_size,
        "data_digest": cache.digest,
        "training_tiles": sorted({*cache.tile_digests[split.train].tolist(), *state["earlier_tiles"]}),
    }
    if best_epoch(state["history"]) == len(state["history"]):
        save_checkpoint(run / BEST, judged, **about)
    kept = {key: state[key] for key in ("history", "identity", "encoder_start", "earlier_tiles")}
    save_checkpoint(run / LAST, model, **about, **kept, **movers)


def _describe_data(dataset: Path, cache: Cache, split: Split) -> dict:
    return {
        "name": cache.name,
        "path": str(Path(dataset).resolve()),  # left out of what is published
        "digest": cache.digest,
        "split": split.method,
        "note": split.note,
        "train_tiles": len(split.train),
        "validation_tiles": len(split.validation),
        "void_tiles": int(cache.void.sum()),
        "validation_groups": None if cache.groups is None else sorted(set(cache.groups[split.validation].tolist())),
        "validation_indices": split.validation.tolist(),
    }


def _report(run: Path, state: dict, recipe: Recipe, data: dict, device: torch.device) -> dict:
    """Write what is known after the last epoch: `history.csv`, then `results.json`, unless it stands there already."""
    path, history = run / RESULTS, state["history"]
    earlier = read_json(path) if path.exists() else {"evaluations": {}}
    if earlier.get("training", {}).get("epochs") == len(history):
        return earlier
    write_csv(run / HISTORY, history)
    best = history[best_epoch(history) - 1]
    stop = early_stopping_epoch(history, recipe.early_stopping_patience)
    results = {
        "recipe": dataclasses.asdict(recipe),
        "data": data,
        "model": {"parameters": count_parameters(state["model"]), "encoder_start": state["encoder_start"]},
        "training": {
            "status": "finished" if _finished(state, recipe) else "running",
            "epochs": len(history),
            "best_epoch": best["epoch"],
            "best": best,
            "last": history[-1],
            "early_stopping_epoch": stop,
            "early_stopping_best_epoch": best_epoch(history[:stop]) if stop else None,
            "seconds": round(sum(row["seconds"] for row in history), 1),
            "date": datetime.now(UTC).date().isoformat(),
        },
        "environment": describe_environment(device),
        "evaluations": earlier["evaluations"],
    }
    write_json(path, results)
    return read_json(path)
