"""Processes of their own for the tests: a server imports once what training needs and forks, where the system can."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

CONTEXT = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
CONTEXT.set_forkserver_preload(["helpers.training.run"])


def begin(
    work: Callable, *arguments: object, said: Path = Path(os.devnull), environment: Mapping[str, str] | None = None
) -> BaseProcess:
    """Start `work` with one thread, in a process that has imported what it needs; what it says goes to a file."""
    begun = CONTEXT.Event()
    process = CONTEXT.Process(target=_work, args=(begun, said, environment or {}, work, *arguments))
    process.start()
    assert begun.wait(600)
    return process


def _work(begun, said: Path, environment: Mapping[str, str], work: Callable, *arguments: object) -> None:
    torch.set_num_threads(1)
    os.environ.update(environment)
    with open(said, "w", encoding="utf-8") as file, redirect_stdout(file):
        begun.set()
        work(*arguments)
