"""When the learning rate falls, which epoch is the best, and after which one a run ends."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from helpers.config import WARMUP_EPOCHS, Recipe


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
    for stop in range(1, len(history) + 1):
        if stop - best_epoch(history[:stop]) >= patience:
            return stop
    return None


def _validation_dice(row: dict) -> float:
    # Without a nucleus in the whole validation part Dice is not defined: any epoch is as good as another.
    return row["val_dice"] if row["val_dice"] == row["val_dice"] else -1.0
