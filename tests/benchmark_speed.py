"""What preparation and training cost beside the alternative, measured in turn in one run: `make benchmark`.

Not part of `make test`: it takes a quarter of an hour, 13 GB of disk, and a machine that does nothing else. Writes into
the JSON file that the notebook shows.
"""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from benchmark_loops import prepare_as_the_report
from benchmark_run import add, in_turn, record
from made_slides import peak_megabytes

from helpers.config import RECIPES
from helpers.data.cache import Cache
from helpers.data.prepare import prepare
from helpers.data.split import Split
from helpers.losses import BinarySegLoss
from helpers.sample_tissue.sample import write_sample_fold
from helpers.training.comparisons import untrained_model
from helpers.training.epochs import average_weights, train_epoch
from helpers.training.loaders import make_loaders, start_epoch

SAMPLE = 40  # tiles that are painted; folds repeat them
EPOCH = 160  # tiles of a measured epoch
STRONG = replace(RECIPES["strong"], pretrained=False)
MEASURED = {
    "ours": "from helpers.data.prepare import prepare\nprepare(Path(sys.argv[1]), 128, progress=False)\n",
    "report": "from benchmark_loops import prepare_as_the_report\nprepare_as_the_report(Path(sys.argv[1]))\n",
    "training": """
from dataclasses import replace
import torch
from helpers.config import RECIPES
from helpers.training.run import train_run
recipe = replace(RECIPES["strong"], network=sys.argv[2], image_size=256, batch_size=4, epochs=1, pretrained=False)
train_run(Path(sys.argv[1]), Path(sys.argv[1]) / "run", recipe, device=torch.device("cpu"))
""",
}


@pytest.fixture(scope="session")
def rows() -> Iterator[list[dict]]:
    """What was measured; written at the end."""
    with record("preparation and training") as measured:
        yield measured


def write_float64_fold(folder: Path, sample: Path, count: int) -> Path:
    """Write a fold as PanNuke ships it, from painted tiles that repeat but for one pixel."""
    tissues = np.resize(np.load(sample / "Images/types.npy"), count)
    for name in ("Images/images.npy", "Masks/masks.npy"):
        (folder / name).parent.mkdir(parents=True)
        values = np.load(sample / name)
        out = np.lib.format.open_memmap(folder / name, mode="w+", dtype=float, shape=(count, *values.shape[1:]))
        for start in range(0, count, len(values)):
            out[start : start + len(values)] = values[: count - start]
        if "images" in name:  # one pixel makes each its own: of copies `prepare` warns, and looks at them again
            out[:, 0, 0, :2] = np.stack(np.divmod(np.arange(count), 256), 1)
        out.flush()
    np.save(folder / "Images/types.npy", tissues)
    return folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("sample")
    yield write_sample_fold(folder / "tiles", num_tiles=SAMPLE, dtype="uint8")
    shutil.rmtree(folder)


@pytest.fixture
def fold(tmp_path, sample) -> Iterator[Path]:
    """Four hundred tiles of float64: 1.9 GB."""
    yield write_float64_fold(tmp_path / "fold", sample, 400)
    shutil.rmtree(tmp_path)


def forget(fold: Path) -> None:
    """Let the system forget a fold's files, and what was prepared of it."""
    for path in fold.rglob("*.npy"):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    shutil.rmtree(fold / ".nuclei_cache", ignore_errors=True)


def read_once(fold: Path) -> None:
    """Read the bytes of a fold and do nothing with them."""
    buffer = bytearray(8 << 20)
    for name in ("Images/images.npy", "Masks/masks.npy"):
        with open(fold / name, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def test_preparation_from_a_cold_cache(benchmark, rows, fold):
    ours, theirs, ratio = in_turn(
        benchmark, lambda: prepare(fold, progress=False), lambda: read_once(fold), lambda: forget(fold)
    )
    add(
        rows, "prepare 400 tiles, cold", "reading the same bytes once", ours, theirs, "s",
        "at most 1.5 times", ratio <= 1.5,
    )  # fmt: skip


def test_preparation_from_a_warm_cache(benchmark, rows, fold):
    ours, theirs, ratio = in_turn(
        benchmark, lambda: prepare(fold, progress=False), lambda: prepare_as_the_report(fold),
        lambda: shutil.rmtree(fold / ".nuclei_cache", ignore_errors=True),
    )  # fmt: skip
    add(rows, "prepare 400 tiles, warm", "the report's loop", ours, theirs, "s", "never slower", ratio <= 1)


def test_cost_of_preparation_as_the_fold_grows(rows, tmp_path, sample):
    peaks, seconds = {}, {}
    for count in (100, 400, 1600, 2656):
        fold = write_float64_fold(tmp_path / str(count), sample, count)
        if count == 400:
            theirs, _ = peak_megabytes(MEASURED["report"], fold)
        started = time.perf_counter()
        peaks[count], _ = peak_megabytes(MEASURED["ours"], fold)
        seconds[count] = time.perf_counter() - started
        shutil.rmtree(fold)
    add(
        rows, "peak memory, preparing 400 tiles", "the report's loop", peaks[400], theirs, "MB",
        "under 750 MB", max(peaks.values()) < 750,
    )  # fmt: skip
    add(
        rows, "peak memory, preparing 2,656 tiles", "100 tiles", peaks[2656], peaks[100], "MB",
        "within 100 MB", peaks[2656] - peaks[100] < 100,
    )  # fmt: skip
    # The start of Python counts in all: a tile costs what 300 and 1,200 more of them take.
    early, late = (seconds[400] - seconds[100]) / 300, (seconds[1600] - seconds[400]) / 1200
    add(
        rows, "a tile, from 400 to 1,600 tiles", "a tile, from 100 to 400", 1000 * late, 1000 * early, "ms",
        "linear: at most 1.3 times", late <= 1.3 * early,
    )  # fmt: skip


@pytest.fixture(scope="session")
def cache(sample) -> Cache:
    return prepare(sample, 128, "majority", progress=False)


def loader(cache: Cache, workers: int = 0):
    indices = np.arange(SAMPLE).repeat(EPOCH // SAMPLE)
    return make_loaders(cache, Split("made", "", indices, indices[:1]), STRONG, workers)[0]


def test_an_epoch_of_training(benchmark, rows, cache):
    ours = untrained_model(STRONG).to(memory_format=torch.channels_last)
    theirs = smp.Unet("efficientnet-b0", encoder_weights=None, classes=1)
    criterion = BinarySegLoss(torch.ones(2))
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-3) for model in (ours, theirs)]
    average_weights(ours, optimizers[0], STRONG.averaging_decay)

    def our_epoch() -> None:
        train_loader = loader(cache)
        start_epoch(train_loader, 1)
        train_epoch(ours, train_loader, criterion, optimizers[0], "cpu", accumulation_steps=1)

    def their_epoch() -> None:
        theirs.train()
        for images, masks in loader(cache):
            optimizers[1].zero_grad()
            criterion(theirs(images), masks).backward()
            optimizers[1].step()

    seconds = in_turn(benchmark, our_epoch, their_epoch)
    add(
        rows, "training at 128 pixels", "a plain float32 loop over smp.Unet, augmented alike", EPOCH / seconds[0],
        EPOCH / seconds[1], "images/s", "at least 1.3 times", 1 / seconds[2] >= 1.3,
    )  # fmt: skip


def test_the_loader_alone(benchmark, rows, cache):
    model = untrained_model(STRONG).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batches, train_loader = list(loader(cache)), loader(cache, workers=2)

    def steps() -> None:
        train_epoch(model, batches, BinarySegLoss(torch.ones(2)), optimizer, "cpu", accumulation_steps=1)

    seconds = in_turn(benchmark, lambda: sum(len(images) for images, _ in train_loader), steps)
    add(
        rows, "the loader alone, 2 workers", "the training step alone", EPOCH / seconds[0], EPOCH / seconds[1],
        "images/s", "at least 3 times", 1 / seconds[2] >= 3,
    )  # fmt: skip


@pytest.mark.parametrize("network", ["unet", "unet-stem1"])
def test_memory_of_training(rows, sample, network):
    peak, _ = peak_megabytes(MEASURED["training"], sample, network)
    shutil.rmtree(sample / "run")
    add(
        rows, f"peak memory, training {network} at batch 4 of 256 pixels, CPU", "the report's card", peak, 8000, "MB",
        "under 3,000 MB", peak < 3000,
    )  # fmt: skip
