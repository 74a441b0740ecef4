"""Where a run starts. What a whole run makes of it, `test_run` tells."""

import numpy as np
import pytest
import torch
from tiny_run import RECIPE, make_network

from helpers.data.prepare import prepare
from helpers.data.split import split_tiles
from helpers.errors import InputError
from helpers.training.checkpoints import load_checkpoint, save_checkpoint
from helpers.training.resume import LAST, resume_or_start


@pytest.fixture
def start(finished_run):
    """Start, or take up, a run on the tiles of the finished one."""
    cache = prepare(finished_run.dataset, 64, "nearest", progress=False)
    return lambda run, init=None: resume_or_start(run, RECIPE, cache, split_tiles(cache, 0), init)


def test_a_new_run_starts_at_random_and_writes_nothing(start, tmp_path):
    state = start(tmp_path / "run")
    assert state["history"] == []
    assert state["encoder_start"] == "random"
    assert not state["halved"]
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_taken_up(start, finished_run):
    state = start(finished_run.folder)
    saved, _ = load_checkpoint(finished_run.folder / LAST)
    assert [row["epoch"] for row in state["history"]] == [1, 2]
    assert all(map(torch.equal, state["model"].state_dict().values(), saved.state_dict().values()))
    assert {"optimizer", "scheduler", "scaler"} <= set(state)


def test_weights_that_saw_the_validation_tiles_are_refused(start, finished_run, tmp_path):
    cache = prepare(finished_run.dataset, 64, "nearest", progress=False)
    seen = cache.tile_digests[split_tiles(cache, 0).validation[:1]].tolist()
    save_checkpoint(tmp_path / "given.pth", make_network(), training_tiles=seen)
    with pytest.raises(InputError, match="were trained on 1 of the 4 validation tiles"):
        start(tmp_path / "run", tmp_path / "given.pth")
    save_checkpoint(tmp_path / "other.pth", make_network(), training_tiles=["0" * 16])
    state = start(tmp_path / "run", tmp_path / "other.pth")
    assert state["earlier_tiles"] == ["0" * 16]
    assert state["encoder_start"].endswith("/other.pth")
    assert np.isclose(state["model"].dropout.p, RECIPE.dropout)
