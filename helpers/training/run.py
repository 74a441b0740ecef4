"""A training run: a folder that a recipe fills, epoch by epoch, and that can be resumed."""

import dataclasses
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

from helpers.config import TILE_SIZE, TILE_UM_PER_PX, Recipe
from helpers.data.cache import Cache
from helpers.data.prepare import prepare
from helpers.data.split import Split, split_tiles
from helpers.devices import pick_device
from helpers.errors import InputError
from helpers.files import locked, read_json, remove_unfinished, write_csv, write_json
from helpers.losses import BinarySegLoss, NucleiLoss, balanced_class_weights
from helpers.model import count_parameters
from helpers.paths import as_path
from helpers.provenance import describe_environment, device_name
from helpers.training.checkpoints import save_checkpoint
from helpers.training.control import NOTE, choose_learnt
from helpers.training.distributed import main_first, process_group, rank, share_buffers, world_size, wrap
from helpers.training.epochs import average_weights, evaluate_model, train_epoch
from helpers.training.loaders import make_loaders, nuclei_share, start_epoch
from helpers.training.results import BEST, HISTORY, LAST, RESULTS, Results
from helpers.training.resume import resume_or_start
from helpers.training.schedule import StepGuard, best_epoch, early_stopping_epoch, make_scheduler


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
    use_amp: bool = True,
    drop_copies: bool = False,
) -> Results:
    """Train by a recipe, or resume a run where it stopped.

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
        use_amp: mixed precision where the device gains by it, as `epochs.mixed_precision` decides; else float32.
        drop_copies: leave out tiles that repeat the image of another, as `split.split_tiles` does.

    Returns:
        what `results.json` holds.

    Raises:
        InputError: the data set or the start does not fit, copies of a tile would train and validate, the folder holds
            a run of another recipe or data set, another process is at work in it, the memory does not suffice, or the
            loss stays infinite or no number.
    """
    dataset, run, init = as_path(dataset), as_path(run), None if init is None else as_path(init)
    with process_group(device or pick_device()) as device:
        if rank() > 0:  # the first alone speaks
            progress, log = False, lambda line: None
        with main_first():
            cache = prepare(dataset, recipe.image_size, recipe.labels, progress)
        split = split_tiles(cache, recipe.split_seed, official, drop_copies)
        if recipe.shuffled_masks:
            learnt = choose_learnt(cache, split.train, recipe)
            split = Split(split.method, NOTE, learnt, learnt)
        data = _describe_data(dataset, cache, split, recipe)
        with locked(run) if rank() == 0 else nullcontext():
            if rank() == 0:
                remove_unfinished(run, (BEST, LAST, HISTORY, RESULTS))
            state = resume_or_start(run, recipe, cache, split, init)
            if _finished(state, recipe):
                log(f"{run}: finished after {len(state['history'])} epochs")
            while not _finished(state, recipe):
                try:
                    _train(run, cache, split, recipe, data, state, device, workers, progress, log, use_amp)
                except torch.OutOfMemoryError as error:
                    if state["halved"] or recipe.batch_size == 1 or world_size() > 1:
                        raise InputError(
                            f"{device_name(device)}: found too little memory for {_batch_size(recipe, state)} tiles at "
                            f"a time ({str(error).splitlines()[0][:120]}); give a smaller --batch-size, in a new folder"
                        ) from None
                    state = resume_or_start(run, recipe, cache, split, init) | {"halved": True}
                    log(
                        f"out of memory: from here on {_batch_size(recipe, state)} tiles at a time in place of "
                        f"{recipe.batch_size}, and twice as many batches a step"
                    )
            with main_first():
                return _report(run, state, recipe, data, device)


def _train(
    run: Path, cache: Cache, split: Split, recipe: Recipe, data: dict, state: dict,
    device: torch.device, workers: int, progress: bool, log: Callable[[str], None], use_amp: bool,
) -> None:  # fmt: skip
    """Train from a state to the run's end, and leave the state and what is on disk as they are then."""
    model = state["model"].to(device, memory_format=torch.channels_last)
    criterion = BinarySegLoss(
        torch.tensor(data["class_weights"]), recipe.bce_weight, recipe.dice_weight, recipe.boundary_weight
    )
    if len(recipe.outputs) > 1:
        weights = torch.tensor(data["kind_weights"]) if data["kind_weights"] else None
        criterion = NucleiLoss(criterion, weights, recipe.kinds_weight, recipe.interior_weight)
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
    shared = wrap(model)
    train_loader, validation_loader = make_loaders(cache, split, recipe, workers, _batch_size(recipe, state))
    # As many batches a step that it sees about as many tiles whatever the number of processes.
    accumulation_steps = max(1, round(recipe.accumulation_steps * (2 if state["halved"] else 1) / world_size()))
    history = state["history"]
    while not _finished(state, recipe):
        epoch, started, guard = len(history) + 1, time.perf_counter(), StepGuard()
        learning_rate = optimizer.param_groups[0]["lr"]
        start_epoch(train_loader, epoch)
        train_loss = train_epoch(
            shared, train_loader, criterion, optimizer, device, scaler, use_amp,
            accumulation_steps=accumulation_steps, max_grad_norm=recipe.max_grad_norm, progress=progress, guard=guard,
        )  # fmt: skip
        share_buffers(judged)
        validation = evaluate_model(judged, validation_loader, criterion, device, use_amp)
        scheduler.step(*([validation["loss"]] if recipe.schedule == "plateau" else []))
        row = {"epoch": epoch, "learning_rate": learning_rate, "train_loss": train_loss}
        row |= {f"val_{name}": value for name, value in validation.items()}
        row |= {"skipped_steps": guard.skipped, "seconds": round(time.perf_counter() - started, 1)}
        history.append(row)
        if rank() > 0:
            continue
        _save(run, judged, state, {name: mover.state_dict() for name, mover in movers.items()}, cache, split)
        log(
            f"epoch {epoch:2d}/{recipe.epochs}  train loss {train_loss:.3f}  validation loss {validation['loss']:.3f}  "
            f"Dice {validation['dice']:.3f}  took {row['seconds']:.1f} s"
            + (f"  steps skipped {guard.skipped}" if guard.skipped else "")
        )
        _report(run, state, recipe, data, device)


def _batch_size(recipe: Recipe, state: dict) -> int:
    return recipe.batch_size // 2 if state["halved"] else recipe.batch_size


def _finished(state: dict, recipe: Recipe) -> bool:
    stop = early_stopping_epoch(state["history"], recipe.early_stopping_patience) if recipe.stop_early else None
    return stop is not None or len(state["history"]) >= recipe.epochs


def _save(run: Path, judged: nn.Module, state: dict, movers: dict, cache: Cache, split: Split) -> None:
    """Write best and last, in the order that lets a run stopped in between repeat its epoch."""
    groups = [[] if cache.groups is None else cache.groups[part].tolist() for part in (split.train, split.validation)]
    seen = state["earlier"].and_then(cache.tile_digests[split.train].tolist(), *groups)
    about = {"um_per_px": TILE_UM_PER_PX * TILE_SIZE / judged.img_size, "data_digest": cache.digest}
    about |= dataclasses.asdict(seen) | {"identity": state["identity"]}
    if best_epoch(state["history"]) == len(state["history"]):
        save_checkpoint(run / BEST, judged, **about, epoch=len(state["history"]))
    kept = {key: state[key] for key in ("history", "encoder_start", "halved")}
    kept["earlier"] = dataclasses.asdict(state["earlier"])
    save_checkpoint(run / LAST, state["model"], **about, **kept, **movers)


def _describe_data(dataset: Path, cache: Cache, split: Split, recipe: Recipe) -> dict:
    share = nuclei_share(cache, split.train)
    if not 0 < share < 1:
        raise InputError(f"{dataset}: expected nuclei and background in the training tiles, found {share:.0%} nuclei")
    told = split.validation[cache.grouped[split.validation]]
    class_weights = balanced_class_weights(share) if recipe.class_weights == "balanced" else torch.ones(2)
    return {
        "name": cache.name,
        "path": str(Path(dataset).resolve()),  # left out of what is published
        "digest": cache.digest,
        "split": split.method,
        "note": split.note,
        "train_tiles": len(split.train),
        "validation_tiles": len(split.validation),
        "void_tiles": int(cache.void.sum()),
        "validation_groups": None if cache.groups is None else sorted(set(cache.groups[told].tolist())),
        "validation_indices": split.validation.tolist(),
        "nuclei_share": share,
        "class_weights": class_weights.tolist(),
        "kinds": list(cache.known_kinds),
        "kind_weights": weigh_kinds(cache, split.train),
    }


def weigh_kinds(cache: Cache, indices: np.ndarray) -> list[float]:
    """Weigh each of `Cache.known_kinds` by one over the root of its number of nuclei in some tiles; the mean is 1."""
    counts = cache.nuclei[indices[cache.annotated[indices, 0]]].sum(0)
    counts = np.array([counts[np.array(cache.kinds) == kind].sum() for kind in cache.known_kinds])
    weights = 1 / np.sqrt(np.maximum(counts, 1))
    return (weights / weights.mean()).tolist() if len(counts) else []


def _report(run: Path, state: dict, recipe: Recipe, data: dict, device: torch.device) -> Results:
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
            "skipped_steps": sum(row["skipped_steps"] for row in history),
            "batches_halved": state["halved"],
            "processes": world_size(),
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
