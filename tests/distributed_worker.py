"""One of several processes: it writes what it learnt and measured, then trains a whole run."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from helpers.__main__ import main
from helpers.files import write_json
from helpers.losses import BinarySegLoss
from helpers.model import EfficientNetSegmentation
from helpers.training.distributed import process_group, rank, world_size, wrap
from helpers.training.epochs import evaluate_model, train_epoch

CPU = torch.device("cpu")


class Quiet(EfficientNetSegmentation):
    """The network without chance: batch norm, dropout and stochastic depth stay as in evaluation."""

    def train(self, mode: bool = True) -> nn.Module:
        """Stay in evaluation mode."""
        return super().train(False)


def tiles(count: int) -> TensorDataset:
    """Make noise with masks of every size, the first one empty."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, 32, 32, generator=generator)
    masks = (
        torch.rand(count, 1, 32, 32, generator=generator) < torch.linspace(0, 1, count)[:, None, None, None]
    ).float()
    return TensorDataset(images, masks)


def network() -> nn.Module:
    """Build the same network in every process."""
    torch.manual_seed(0)
    return Quiet(32)


def train(out: Path, per_step: int) -> None:
    """Train on eleven tiles in batches of two, `per_step` batches of all processes a step, and keep the weights."""
    data, model = tiles(11), network()
    batches = [list(range(start, min(start + 2, 11))) for start in range(0, 11, 2)]
    mine = batches[rank() :: world_size()]
    loss = train_epoch(
        wrap(model), DataLoader(data, batch_sampler=mine), BinarySegLoss(), SGD(model.parameters(), lr=1.0), CPU,
        use_amp=False, accumulation_steps=per_step // world_size(), max_grad_norm=None,
    )  # fmt: skip
    if rank() == 0:
        torch.save({"model": model.state_dict(), "loss": loss}, out / f"{world_size()}-{per_step}.pth")


def evaluate(out: Path) -> None:
    """Judge the network on seven tiles, of which each process has its share."""
    data = tiles(7)
    mine = torch.utils.data.Subset(data, np.arange(7)[rank() :: world_size()].tolist())
    scores = evaluate_model(network(), DataLoader(mine, 2), BinarySegLoss(), CPU, use_amp=False)
    if rank() == 0:
        write_json(out / f"{world_size()}.json", scores)


def work(out: Path, *arguments: str) -> int:
    """Do all of it, the run by the command that `arguments` name; give that command's status."""
    with process_group(CPU):
        for per_step in (2, 6):
            train(out, per_step)
        evaluate(out)
        return main(arguments)


if __name__ == "__main__":  # by torchrun
    torch.set_num_threads(1)
    sys.exit(work(Path(sys.argv[1]), *sys.argv[2:]))
