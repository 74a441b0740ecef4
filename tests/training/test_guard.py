"""Steps that are not finite: skipped, counted, and the running statistics put back."""

import math

import pytest
import torch
from torch import nn

from helpers.errors import InputError
from helpers.training.guard import MOST_IN_A_ROW, StepGuard


def test_finite_steps_are_taken():
    guard, model = StepGuard(), nn.BatchNorm2d(2)
    guard.remember(model)
    assert guard.accepts(model, 0.7, 3.0)
    assert guard.skipped == 0


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
