"""One epoch of training and one of evaluation, over any loader of (images, masks) pairs; averages of weights."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from helpers.config import LOGIT_THRESHOLD, THRESHOLD
from helpers.devices import mixed_precision
from helpers.losses import check_masks
from helpers.metrics import count_pixels, scores
from helpers.model import nuclei_of
from helpers.training.distributed import add_up, gather_in_order, synchronised, world_size
from helpers.training.schedule import StepGuard


def train_epoch(
    model: nn.Module,
    train_loader: Iterable[tuple[Tensor, Tensor]],
    criterion: nn.Module,
    optimizer: Optimizer,
    device: torch.device | str,
    scaler: torch.amp.GradScaler | None = None,
    use_amp: bool = True,
    accumulation_steps: int = 8,
    max_grad_norm: float | None = 1.0,
    progress: bool = False,
    guard: StepGuard | None = None,
) -> float:
    """Train for one epoch, stepping once for every `accumulation_steps` batches and once for what is left at the end.

    Each batch counts by its number of images, so a group gives the gradient of one large batch, the last and smaller
    one included; so do the batches of all processes. A step whose loss or gradients are not finite is skipped.

    Args:
        model: maps images `(B, 3, H, W)` to logits `(B, 1, H, W)`.
        train_loader: pairs of images `(B, 3, H, W)` and masks `(B, 1, H, W)`, float, 0 to 1, or of images and all that
            `losses.NucleiLoss` takes by name.
        criterion: maps logits and masks to a scalar, a mean over the images of the batch.
        optimizer: over the parameters of `model`.
        device: where to compute.
        scaler: `torch.amp.GradScaler` for float16 on CUDA; None elsewhere.
        use_amp: mixed precision: float16 on CUDA, bfloat16 on a CPU that computes in it, nothing elsewhere.
        accumulation_steps: batches an optimiser step, 1 or more.
        max_grad_norm: gradients are scaled down to this Euclidean norm; None leaves them.
        progress: show a bar with the running loss on standard error.
        guard: counts the steps that are skipped.

    Returns:
        the mean loss over the images of the epoch whose steps were taken, of all processes; NaN if none was.

    Raises:
        ValueError: `accumulation_steps` under 1, or a loader without a batch.
        InputError: masks with values outside 0 to 1, or too many steps in a row that are not finite.
    """
    if accumulation_steps < 1:
        raise ValueError(f"accumulation_steps: expected 1 or more, found {accumulation_steps}")
    device = torch.device(device)
    scaler = scaler or torch.amp.GradScaler(device.type, enabled=False)  # disabled, it hands everything through
    guard = guard or StepGuard()
    model.train()
    loss_sum, image_count, empty = 0.0, 0.0, True
    with tqdm(_groups(train_loader, accumulation_steps), unit="step", disable=not progress, leave=False) as bar:
        for group in bar:
            empty = False
            group_images = add_up(sum(len(images) for images, _ in group))
            optimizer.zero_grad(set_to_none=True)
            guard.remember(model)
            group_loss = 0.0
            for number, (images, masks) in enumerate(group, start=1):
                check_masks(nuclei_of(masks))  # here on the CPU yet, and whatever the criterion
                images, masks = _to_device(images, device), _targets_to(masks, device)
                with synchronised(model, last=number == len(group)):
                    with mixed_precision(device, use_amp):
                        logits = model(images)
                    loss = criterion(logits, masks)
                    # Gradients are averaged over the processes, and should be added up.
                    scaler.scale(loss * (len(images) * world_size() / group_images)).backward()
                group_loss += float(loss.detach()) * len(images)
            scaler.unscale_(optimizer)
            norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf if max_grad_norm is None else max_grad_norm)
            group_loss = add_up(group_loss)
            if guard.accepts(model, group_loss, float(norm)):
                scaler.step(optimizer)
                loss_sum, image_count = loss_sum + group_loss, image_count + group_images
                bar.set_postfix(loss=f"{loss_sum / image_count:.4f}")
            scaler.update()
    if empty:
        raise ValueError("train_loader: expected at least one batch, found none")
    return loss_sum / image_count if image_count else math.nan


@torch.inference_mode()
def evaluate_model(
    model: nn.Module,
    val_loader: Iterable[tuple[Tensor, Tensor]],
    criterion: nn.Module,
    device: torch.device | str,
    use_amp: bool = True,
) -> dict[str, float | int]:
    """Evaluate on every batch of a loader, and of those of all processes together; the arguments are `train_epoch`'s.

    Returns:
        `loss` and all of `metrics.scores`, at the size of the masks in the loader.

    Raises:
        ValueError: a loader without a batch.
        InputError: masks with values outside 0 to 1.
    """
    device = torch.device(device)
    model.eval()
    loss_sum, counts = 0.0, []
    for images, masks in val_loader:
        truth = nuclei_of(masks)
        check_masks(truth)
        with mixed_precision(device, use_amp):
            logits = model(_to_device(images, device))
        loss_sum += float(criterion(logits, _targets_to(masks, device))) * len(images)
        predicted = (nuclei_of(logits).float() >= LOGIT_THRESHOLD).cpu().numpy()
        counts.append(count_pixels(predicted[:, 0], truth.float().cpu().numpy()[:, 0] >= THRESHOLD))
    counts = gather_in_order(np.concatenate(counts) if counts else np.zeros((0, 4), np.int64))
    if len(counts) == 0:
        raise ValueError("val_loader: expected at least one batch, found none")
    return {"loss": add_up(loss_sum) / len(counts)} | scores(counts)


def average_weights(model: nn.Module, optimizer: Optimizer, decay: float) -> AveragedModel:
    """Keep an exponential moving average of the weights, moved after each optimiser step.

    The first steps count more, min(decay, (1 + n) / (10 + n)) for step n, so that the random start is soon forgotten.
    Batch norm's running statistics are an average already: those of the model are taken over.

    Reference:
        Polyak, Juditsky 1992, doi:10.1137/0330046; exponential as in Tan, Le 2019 (EfficientNet).
    """

    def move(averages: Sequence[Tensor], weights: Sequence[Tensor], steps: Tensor) -> None:
        kept = min(decay, (1 + steps.item()) / (10 + steps.item()))
        torch._foreach_lerp_(averages, weights, 1 - kept)

    average = AveragedModel(model, multi_avg_fn=torch.no_grad()(move))
    optimizer.register_step_post_hook(lambda *_: average.update_parameters(model))
    return average


def _to_device(images: Tensor, device: torch.device) -> Tensor:
    # Convolutions run faster over channels-last memory, on CPUs and on tensor cores.
    return images.to(device, non_blocking=True, memory_format=torch.channels_last)


def _targets_to(targets: Tensor | dict[str, Tensor], device: torch.device) -> Tensor | dict[str, Tensor]:
    if isinstance(targets, dict):
        return {name: values.to(device, non_blocking=True) for name, values in targets.items()}
    return targets.to(device, non_blocking=True)


def _groups(loader: Iterable, size: int) -> Iterator[list]:
    """Cut a loader into lists of `size` batches; the last may be shorter."""
    batches = iter(loader)
    while group := list(islice(batches, size)):
        yield group
