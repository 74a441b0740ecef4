"""Several processes that train one network, as `torchrun` starts them. Alone, every call here changes nothing."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from helpers.errors import InputError, in_a_line

# What `torchrun` tells every process, and on a GPU LOCAL_RANK too: where a part is missing, it is left from elsewhere.
GROUP = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the group that `torchrun`'s environment describes, for the time of the block; yield where to compute.

    A process alone, or one of a group on CPUs, computes on `device`; of a group on GPUs each takes its own. Without
    rank and address there is no group to join, whatever else a scheduler left in the environment.

    Raises:
        InputError: the environment describes a group that cannot be joined.
    """
    needed = GROUP | ({"LOCAL_RANK"} if device.type == "cuda" else set())
    if distributed.is_initialized() or not _told(needed):
        yield device
        return
    try:
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        told = ", ".join(f"{name}={os.environ[name]}" for name in sorted(needed))
        raise InputError(
            f"{told}: no group of processes can be joined by these variables ({in_a_line(error)}); start the processes "
            "with torchrun, or unset WORLD_SIZE to train alone"
        ) from None
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def speaks() -> bool:
    """Tell whether this process is alone or the first of its group, before and after the group too."""
    return not _told(GROUP) or os.environ["RANK"] == "0"


def _told(names: set[str]) -> bool:
    return all(os.environ.get(name) for name in names)


def rank() -> int:
    """Give the number of this process in its group, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """Give the number of processes in the group."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextmanager
def main_first() -> Iterator[None]:
    """Let process 0 go through the block first: what it writes, the others find."""
    if rank() > 0:
        distributed.barrier()
    yield
    if rank() == 0 and world_size() > 1:
        distributed.barrier()


def wrap(model: nn.Module) -> nn.Module:
    """Let the gradients of all processes be averaged; the weights are those of process 0."""
    return DistributedDataParallel(model) if world_size() > 1 else model


def synchronised(model: nn.Module, last: bool) -> AbstractContextManager:
    """Give a context in which gradients only add up here, unless it is the `last` batch before a step."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) and not last else nullcontext()


def share_buffers(model: nn.Module) -> None:
    """Give every process the running statistics of process 0, so that all judge one network."""
    if world_size() > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)


def add_up(value: float) -> float:
    """Add up a number over all processes."""
    return value if world_size() == 1 else sum(_gather(value))


def gather_in_order(rows: np.ndarray) -> np.ndarray:
    """Put together what each process made of its tiles, process r of those with the numbers r, r + world size, ...

    Of the rows `(n, ...)`, one for each tile of this process, come `(N, ...)` in the order of all tiles.
    """
    if world_size() == 1:
        return rows
    together = np.concatenate(_gather(rows))
    ordered, total = np.empty_like(together), len(together)
    ordered[np.concatenate([np.arange(first, total, world_size()) for first in range(world_size())])] = together
    return ordered


def _gather(value: object) -> list:
    gathered: list = [None] * world_size()
    distributed.all_gather_object(gathered, value)
    return gathered
