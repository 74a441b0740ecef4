"""Two processes on the CPU learn what one learns, measure what one measures, and leave a run that one can take up."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import distributed_worker
import numpy as np
import pytest
import torch
from nightly import NIGHTLY
from other_processes import begin
from torch import nn

from helpers.__main__ import main
from helpers.errors import InputError
from helpers.sample_tissue.sample import write_sample_fold
from helpers.training.checkpoints import load_checkpoint
from helpers.training.distributed import (
    GROUP,
    add_up,
    gather_in_order,
    main_first,
    process_group,
    rank,
    speaks,
    synchronised,
    world_size,
    wrap,
)
from helpers.training.results import BEST, HISTORY, LAST, RESULTS

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
TRAIN = ("train", "--recipe", "quick", "--image-size", "32", "--batch-size", "2", "--epochs", "2")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def work_in_two(folder: Path, *arguments: str) -> str:
    """Work in two processes with what torchrun would tell them; give what they wrote."""
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    said = [folder / f"said_{number}.txt" for number in range(2)]
    processes = [
        begin(
            distributed_worker.work, folder, *arguments, said=file,
            environment=group | {"RANK": str(number), "LOCAL_RANK": str(number)},
        )
        for number, file in enumerate(said)
    ]  # fmt: skip
    for process in processes:
        process.join(600)
        process.kill()  # where it still waits for one that failed
    assert [process.exitcode for process in processes] == [0, 0]
    return "".join(file.read_text(encoding="utf-8") for file in said)


def start_two(*arguments: object) -> subprocess.CompletedProcess:
    """Let torchrun start two processes; give what they wrote."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*TORCHRUN, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> Iterator[Path]:
    """What one process and what two made of the same tiles, and the run that two trained."""
    folder = tmp_path_factory.mktemp("distributed")
    slides = write_sample_fold(folder / "slides", num_tiles=12, dtype="uint8")
    command = (*TRAIN, str(slides), "--out", str(folder / "run"))
    if NIGHTLY:
        finished = start_two(ROOT / "tests/distributed_worker.py", folder, *command)
        assert finished.returncode == 0, finished.stderr[-2000:]
        said = finished.stdout
    else:
        said = work_in_two(folder, *command)
    assert said.count("epoch  1/2") == 1  # the first process alone speaks
    for per_step in (2, 6):
        distributed_worker.train(folder, per_step)
    distributed_worker.evaluate(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("per_step", [2, 6])
def test_gradients_are_those_of_one_process_that_accumulates(both, per_step):
    # A step of SGD at rate 1 moves the weights by the gradient; of the six batches the last holds a single tile.
    one, two = (torch.load(both / f"{count}-{per_step}.pth", weights_only=True) for count in (1, 2))
    start = distributed_worker.network().state_dict()
    assert two["loss"] == pytest.approx(one["loss"], abs=1e-5)
    moved = 0.0
    for name, weights in one["model"].items():
        torch.testing.assert_close(two["model"][name], weights, rtol=0, atol=1e-5)
        moved = max(moved, float((weights - start[name]).abs().max()))
    assert moved > 1e-2


def test_metrics_are_exactly_those_of_one_process(both):
    one, two = (json.loads((both / f"{count}.json").read_text()) for count in (1, 2))
    assert two.pop("loss") == pytest.approx(one.pop("loss"), abs=1e-6)
    assert two == one
    assert one["n"] == 7


def test_a_run_of_two_processes_and_one_that_takes_it_up(both, capsys):
    run = both / "run"
    training = json.loads((run / RESULTS).read_text())["training"]
    assert (training["processes"], training["epochs"], training["status"]) == (2, 2, "finished")
    assert len((run / HISTORY).read_text().splitlines()) == 3
    for name in (BEST, LAST):
        model, _ = load_checkpoint(run / name)
        assert all(weights.isfinite().all() for weights in model.state_dict().values())
    assert main([*TRAIN, str(both / "slides"), "--out", str(run)]) == 0
    assert "finished after 2 epochs" in capsys.readouterr().out


@pytest.mark.skipif(not NIGHTLY, reason="two processes more: tried every night")
def test_bad_input_ends_all_processes(tmp_path):
    finished = start_two("-m", "helpers", *TRAIN, tmp_path / "none", "--out", tmp_path / "run")
    assert finished.returncode != 0
    assert "none: expected a folder with a data set, found nothing" in finished.stderr


def test_alone_nothing_changes():
    model, rows = nn.Conv2d(1, 1, 1), np.arange(3)
    with process_group(torch.device("cpu")) as device, main_first(), synchronised(model, last=False):
        assert device == torch.device("cpu")
    assert (rank(), world_size()) == (0, 1)
    assert wrap(model) is model
    assert [add_up(1), add_up(2.5)] == [1, 2.5]
    assert gather_in_order(rows) is rows


@pytest.mark.parametrize(
    "left",
    [
        {"WORLD_SIZE": "1"},
        {"WORLD_SIZE": "4", "LOCAL_RANK": "3"},
        {"WORLD_SIZE": "4", "RANK": "2"},
        {"WORLD_SIZE": "2", "RANK": "", "MASTER_ADDR": "", "MASTER_PORT": ""},
        {"SLURM_PROCID": "1", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1", "WORLD_SIZE": "4", "MASTER_PORT": "29500"},
    ],
)
def test_what_a_scheduler_left_behind_makes_no_group(left, monkeypatch):
    for name in GROUP:
        monkeypatch.delenv(name, raising=False)
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    with process_group(torch.device("cpu")) as device:
        assert (device, rank(), world_size(), speaks()) == (torch.device("cpu"), 0, 1, True)


def test_a_whole_environment_of_one_makes_a_group_of_one(monkeypatch):
    told = {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    with process_group(torch.device("cpu")):
        assert torch.distributed.is_initialized()
    assert speaks()
    monkeypatch.setenv("RANK", "1")
    assert not speaks()
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("wrong", [{"RANK": "first"}, {"WORLD_SIZE": "many"}, {"MASTER_PORT": "here"}])
def test_a_group_that_cannot_be_joined_is_said_in_one_line(wrong, monkeypatch):
    told = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"} | wrong
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    ((name, value),) = wrong.items()
    said = f"{name}={value}.*no group of processes.*unset WORLD_SIZE"
    with pytest.raises(InputError, match=said) as refused, process_group(torch.device("cpu")):
        pass
    assert "\n" not in str(refused.value)
