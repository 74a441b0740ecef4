"""When the learning rate falls, when training ends, and what happens to a step that is not finite."""

import math

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from helpers.config import WARMUP_EPOCHS, Recipe
from helpers.errors import InputError

MOST_IN_A_ROW = 10  # a scaler that starts too high needs a few; a network that is lost never stops


def make_scheduler(optimizer: Optimizer, recipe: Recipe) -> LRScheduler:
    """Make the schedule of a recipe, to be stepped once an epoch: "plateau" with the validation loss, "cosine" without.

    The cosine is that of Loshchilov & Hutter 2017 (arXiv:1608.03983, without restarts) after a linear rise.
    """
    if recipe.schedule == "plateau":
        return ReduceLROnPlateau(optimizer, factor=recipe.plateau_factor, patience=recipe.plateau_patience)
    rise = min(WARMUP_EPOCHS, recipe.epochs - 1)

    def share(epoch: int) -> float:
        if epoch < rise:
            return (epoch + 1) / (rise + 1)
        return 0.5 * (1 + math.cos(math.pi * (epoch - rise) / (recipe.epochs - rise)))

    return LambdaLR(optimizer, share)


def best_epoch(history: list[dict]) -> int:
    """Give the number of the epoch with the highest validation Dice, the first of equals.

    >>> best_epoch([{"epoch": 1, "val_dice": 0.5}, {"epoch": 2, "val_dice": 0.7}, {"epoch": 3, "val_dice": 0.7}])
    2
    """
    return max(history, key=_validation_dice)["epoch"]


def early_stopping_epoch(history: list[dict], patience: int) -> int | None:
    """Give the epoch after which early stopping ends a run: the `patience`-th in a row without a higher Dice, or None.

    >>> early_stopping_epoch([{"epoch": n, "val_dice": d} for n, d in enumerate((0.5, 0.7, 0.6, 0.7, 0.9), 1)], 2)
    4
    """
    stops = (stop for stop in range(1, len(history) + 1) if stop - best_epoch(history[:stop]) >= patience)
    return next(stops, None)


def _validation_dice(row: dict) -> float:
    # Without a nucleus in the whole validation part Dice is not defined: any epoch is as good as another.
    return row["val_dice"] if row["val_dice"] == row["val_dice"] else -1.0


class StepGuard:
    """Decides which optimiser steps are taken, and counts in `skipped` those that are not."""

    def __init__(self) -> None:
        self.skipped, self._in_a_row = 0, 0
        self._buffers: list[torch.Tensor] = []

    def remember(self, model: nn.Module) -> None:
        """Keep the running statistics of batch norm as they are before a step: a forward pass alone can spoil them."""
        self._buffers = [buffer.clone() for buffer in model.buffers()]

    def accepts(self, model: nn.Module, loss: float, gradient_norm: float) -> bool:
        """Tell whether to take the step; if not, put the running statistics back.

        Args:
            model: the network.
            loss: of the step's images, in every process.
            gradient_norm: of all its gradients, unscaled.

        Raises:
            InputError: too many steps in a row are not finite.
        """
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            self._in_a_row = 0
            return True
        self.skipped, self._in_a_row = self.skipped + 1, self._in_a_row + 1
        with torch.no_grad():
            for buffer, kept in zip(model.buffers(), self._buffers, strict=True):
                buffer.copy_(kept)
        if self._in_a_row == MOST_IN_A_ROW:
            raise InputError(
                f"training: expected a finite loss and finite gradients, found others in {MOST_IN_A_ROW} steps in a "
                "row; the last whole epoch is kept. Lower the learning rate or check the images, in a new folder"
            )
        return False
