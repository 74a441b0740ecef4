"""Several processes that train one network, as `torchrun` starts them. Alone, every call here changes nothing."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the group that `torchrun`'s environment describes, for the time of the block; yield where to compute.

    A process alone, or one of a group on CPUs, computes on `device`; of a group on GPUs each takes its own.
    """
    if "WORLD_SIZE" not in os.environ or distributed.is_initialized():
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


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
