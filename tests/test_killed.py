"""A training that is killed at random moments ends, taken up again, with the very weights of one that was not."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from nightly import KILLS
from training.test_run import assert_same_run

from helpers.sample_tissue.sample import write_sample_fold

ROOT = Path(__file__).resolve().parents[1]
EPOCHS = 4
# All that chance moves: augmentation, order, dropout, and an average of weights; a schedule, and a worker process.
TRAIN = """
import sys
from dataclasses import replace
from pathlib import Path

import torch
from helpers.config import RECIPES
from helpers.training.run import train_run

torch.set_num_threads(1)
recipe = replace(RECIPES["strong"], image_size=32, epochs=int(sys.argv[3]), batch_size=4, pretrained=False)
print("begun", flush=True)
train_run(Path(sys.argv[1]), Path(sys.argv[2]), recipe, device=torch.device("cpu"), log=lambda line: None)
"""


def start(dataset: Path, run: Path) -> subprocess.Popen:
    """Start a training in a process of its own, and wait until it has imported what it needs."""
    child = subprocess.Popen(
        [sys.executable, "-c", TRAIN, dataset, run, str(EPOCHS)], cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout.readline() == "begun\n"
    return child


def finish(dataset: Path, run: Path) -> float:
    """Let a training run to its end; give the seconds it took."""
    with start(dataset, run) as child:
        started = time.perf_counter()
        assert child.wait() == 0
        return time.perf_counter() - started


def test_a_killed_training_loses_nothing(tmp_path):
    dataset = write_sample_fold(tmp_path / "slides", num_tiles=12, dtype="uint8")
    seconds = finish(dataset, tmp_path / "whole")
    chance = random.Random(0)
    killed = 0
    while killed < KILLS:
        with start(dataset, tmp_path / "killed") as child:
            try:
                child.wait(chance.uniform(0, seconds / 2))
            except subprocess.TimeoutExpired:
                child.kill()
                killed += 1
                continue
        assert_same_run(tmp_path / "killed", tmp_path / "whole")  # it came to its end: the next begins afresh
        shutil.rmtree(tmp_path / "killed")
    finish(dataset, tmp_path / "killed")
    assert_same_run(tmp_path / "killed", tmp_path / "whole")
    assert not list((tmp_path / "killed").glob(".*.pth"))
    shutil.rmtree(tmp_path)
