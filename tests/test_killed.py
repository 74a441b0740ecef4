"""A training that is killed at random moments ends, resumed, with the very weights of one that was not."""

import random
import shutil
import time
from dataclasses import replace
from pathlib import Path

import torch
from nightly import KILLS
from other_processes import begin
from training.test_run import assert_same_run

from helpers.config import RECIPES
from helpers.sample_tissue.sample import write_sample_fold
from helpers.training.run import train_run

# All that chance moves: augmentation, order, dropout, and an average of weights; and a schedule.
RECIPE = replace(RECIPES["strong"], image_size=32, epochs=4, batch_size=4, pretrained=False)


def train(dataset: Path, run: Path) -> None:
    train_run(dataset, run, RECIPE, device=torch.device("cpu"), log=lambda line: None)


def train_to_the_end(dataset: Path, run: Path) -> float:
    """Train, or resume, in a process like the killed ones, for rounding may differ in another; give the seconds."""
    started = time.perf_counter()
    child = begin(train, dataset, run)
    child.join()
    assert child.exitcode == 0
    return time.perf_counter() - started


def test_a_killed_training_loses_nothing(tmp_path):
    dataset = write_sample_fold(tmp_path / "slides", num_tiles=12, dtype="uint8")
    seconds = train_to_the_end(dataset, tmp_path / "whole")
    chance = random.Random(0)
    killed = 0
    while killed < KILLS:
        child = begin(train, dataset, tmp_path / "killed")
        child.join(chance.uniform(0, seconds / 2))
        if child.exitcode is None:
            child.kill()
            child.join()
            killed += 1
            continue
        assert child.exitcode == 0
        assert_same_run(tmp_path / "killed", tmp_path / "whole")  # it came to its end: the next begins afresh
        shutil.rmtree(tmp_path / "killed")
    train_to_the_end(dataset, tmp_path / "killed")
    assert_same_run(tmp_path / "killed", tmp_path / "whole")
    assert not list((tmp_path / "killed").glob(".*.pth"))
    shutil.rmtree(tmp_path)
