"""Learning rate, early stopping, and steps that are skipped."""

import math

import pytest
import torch
from torch import nn

from helpers.config import Recipe
from helpers.errors import InputError
from helpers.training.schedule import MOST_IN_A_ROW, StepGuard, best_epoch, early_stopping_epoch, make_scheduler


def rates(epochs: int, losses: list[float] | None = None, **fields: object) -> list[float]:
    """Give the learning rate of each epoch, the highest of which is 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make_scheduler(optimizer, Recipe("test", epochs=epochs, **fields))
    found = []
    for epoch in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([losses[epoch]] if losses else []))
    return found


def test_cosine_by_hand():
    # Three epochs of rise in quarters; then cos(0), cos(pi/4), cos(pi/2), cos(3 pi/4), each raised by 1 and halved.
    half = math.sqrt(0.5)
    expected = [1 / 4, 2 / 4, 3 / 4, 1, (1 + half) / 2, 1 / 2, (1 - half) / 2]
    assert rates(7, schedule="cosine") == pytest.approx(expected)


def test_cosine_of_a_short_run():
    assert rates(1, schedule="cosine") == [1.0]
    assert rates(2, schedule="cosine") == pytest.approx([1 / 2, 1])


def test_plateau_by_hand():
    # Patience 1: after the second epoch in a row that is not lower the rate falls.
    losses = [2.0, 1.0, 1.5, 1.0, 0.5, 0.6]
    assert rates(6, losses, plateau_patience=1, plateau_factor=0.3) == pytest.approx([1, 1, 1, 1, 0.3, 0.3])


def rows(*dice: float) -> list[dict]:
    return [{"epoch": n, "val_dice": d} for n, d in enumerate(dice, 1)]


def test_early_stopping_by_hand():
    def stop(dice: list[float], patience: int) -> int | None:
        return early_stopping_epoch(rows(*dice), patience)

    # The report: best at epoch 4, patience 5, so it ends at epoch 9 and not at 20.
    assert stop([0.1, 0.2, 0.3, 0.68, *[0.62] * 16], 5) == 9
    assert stop([0.1, 0.2, 0.3, 0.68, *[0.62] * 4], 5) is None
    assert stop([0.1 * n for n in range(9)], 1) is None
    assert stop([0.5, 0.5], 1) == 2  # as high is not higher
    assert stop([], 1) is None


def test_undefined_dice_is_never_the_best():
    assert best_epoch(rows(math.nan, 0.0, math.nan)) == 2
    assert best_epoch(rows(0.4, math.nan)) == 1
    assert best_epoch(rows(math.nan, math.nan)) == 1


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (1.0, math.inf), (math.inf, math.nan)])
def test_others_are_skipped_and_leave_the_statistics(loss, norm):
    guard, model = StepGuard(), nn.BatchNorm2d(2)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    guard.remember(model)
    model(torch.full((1, 2, 4, 4), math.nan))
    assert model.running_mean.isnan().all()
    assert not guard.accepts(model, loss, norm)
    assert guard.skipped == 1
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_too_many_in_a_row_end_the_training():
    guard, model = StepGuard(), nn.Conv2d(1, 1, 1)
    for _ in range(2):  # a good step starts the count afresh
        for _ in range(MOST_IN_A_ROW - 1):
            assert not guard.accepts(model, math.nan, 1.0)
        assert guard.accepts(model, 1.0, 1.0)
    for _ in range(MOST_IN_A_ROW - 1):
        guard.accepts(model, math.nan, 1.0)
    with pytest.raises(InputError, match=f"in {MOST_IN_A_ROW} steps in a row; the last whole epoch is kept"):
        guard.accepts(model, math.nan, 1.0)
    assert guard.skipped == 3 * MOST_IN_A_ROW - 2
