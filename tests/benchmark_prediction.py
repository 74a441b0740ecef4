"""What predicting costs beside the alternative, measured in turn in one run: `make benchmark`.

It takes some ten minutes of a machine that does nothing else. NUCLEI_OLD_TREE may name a second work tree, at commit
4ac9d7e, whose mask alone the whole way to files is measured against.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import tifffile
import torch
from benchmark_run import add, in_turn, record
from made_slides import CELL, ROOT, in_a_disc, peak_megabytes, write_slide
from PIL import Image

from helpers import predict_files
from helpers.inference.onnx_network import OnnxNetwork
from helpers.inference.trained_model import TrainedModel, load_model, shipped_model
from helpers.pictures.reading import open_picture
from helpers.sample_tissue.sample import sample_field

SMP = "smp.Unet efficientnet-b0, eager float32"
OLD_TREE = os.environ.get("NUCLEI_OLD_TREE")
BATCHES = (1, 2, 4, 8)  # of which each network gets its best
SIDE, CROP = 20_000, 2_000
OURS = """
from helpers import predict_files
def work():
    predict_files(sys.argv[1], sys.argv[2], um_per_px=0.25, save=("geojson", "csv", "labels"), again=True)
"""
OLD = """
import numpy
from PIL import Image
from helpers.segmentation import predict
def work():
    predict(numpy.array(Image.open(sys.argv[1])), 0.25)
"""
TIMED = """
import time
work()
started = time.perf_counter()
work()
print(time.perf_counter() - started)
"""
SLIDE = """
import time
from helpers import predict_files
started = time.perf_counter()
row = predict_files(sys.argv[1], sys.argv[2])[0]
print(row["tissue_mm2"], time.perf_counter() - started)
"""


@pytest.fixture(scope="session")
def rows() -> Iterator[list[dict]]:
    """What was measured; written at the end."""
    with record("predicting") as measured:
        yield measured


@pytest.fixture(scope="session")
def model() -> TrainedModel:
    return shipped_model(fastest=True)


@pytest.fixture(scope="session")
def theirs() -> torch.nn.Module:
    network = smp.Unet("efficientnet-b0", encoder_weights=None, classes=1).eval()
    return network.to(memory_format=torch.channels_last)


@pytest.fixture(scope="session")
def picture(tmp_path_factory) -> Path:
    """A picture of 1,000 x 1,000 pixels, full of painted tissue."""
    fields = [sample_field(number)[0] for number in (0, 1, 3, 4)]
    image = np.concatenate([np.concatenate(fields[:2], 1), np.concatenate(fields[2:], 1)])[:1000, :1000]
    path = tmp_path_factory.mktemp("picture") / "picture.png"
    Image.fromarray(image).save(path)
    return path


def child(code: str, *arguments: object, tree: Path | str = ROOT) -> str:
    """Run something in a process of its own, with the package of a work tree, and give what it printed."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}", *map(str, arguments)], check=True, capture_output=True,
        text=True, env=os.environ | {"PYTHONPATH": str(tree)}, cwd=tree,
    ).stdout  # fmt: skip


def tiles(count: int, side: int) -> np.ndarray:
    field = sample_field(0)[0]
    return np.stack([field[start : start + side, start : start + side] for start in range(count)])


@torch.inference_mode()
def run_theirs(network: torch.nn.Module, images: torch.Tensor, batch_size: int) -> None:
    for batch in images.split(batch_size):
        network(batch)


def as_tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images / np.float32(255)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def best_batch(work) -> int:
    """Give the batch that is fastest, by the best of two rounds after one that does not count."""
    seconds = {}
    for batch_size in BATCHES:
        work(batch_size)
        for _ in range(2):
            started = time.perf_counter()
            work(batch_size)
            seconds[batch_size] = min(time.perf_counter() - started, seconds.get(batch_size, np.inf))
    return min(seconds, key=seconds.get)


def test_tiles_through_the_network(benchmark, rows, model, theirs):
    images = tiles(16, 256)
    tensor = as_tensor(images)
    best = best_batch(lambda size: model.network.run(images, size))
    their_best = best_batch(lambda size: run_theirs(theirs, tensor, size))
    ours, other, ratio = in_turn(
        benchmark, lambda: model.network.run(images, best), lambda: run_theirs(theirs, tensor, their_best)
    )
    add(
        rows, f"the network, tiles of 256 pixels, {best} at once", f"{SMP}, {their_best} at once", 16 / ours,
        16 / other, "tiles/s", "at least 4 times", 1 / ratio >= 4,
    )  # fmt: skip


def test_integers_beside_floats(benchmark, rows, model):
    images, integers = tiles(16, 256), load_model("int8")
    ours, other, ratio = in_turn(benchmark, lambda: integers.network.run(images), lambda: model.network.run(images))
    add(
        rows, "the network in integers of 8 bits, tiles of 256 pixels", "the same in float32", 16 / ours, 16 / other,
        "tiles/s", "at least 1.2 times", 1 / ratio >= 1.2,
    )  # fmt: skip


def test_one_small_tile(benchmark, rows, model, theirs):
    images = tiles(1, 128)
    tensor = as_tensor(images)
    ours, other, ratio = in_turn(
        benchmark, lambda: model.network.run(images), lambda: run_theirs(theirs, tensor, 1), rounds=30
    )
    add(
        rows, "one tile of 128 pixels (the report, on its GPU: 15 ms)", SMP, 1000 * ours, 1000 * other, "ms",
        "at most a third", ratio <= 1 / 3,
    )  # fmt: skip


@pytest.mark.skipif(not OLD_TREE, reason="NUCLEI_OLD_TREE names no work tree of commit 4ac9d7e")
def test_from_a_picture_to_files(rows, picture, tmp_path):
    def seconds(code: str, tree: Path | str) -> float:
        return float(child(code + TIMED, picture, tmp_path, tree=tree).split()[-1])

    both = [(seconds(OURS, ROOT), seconds(OLD, OLD_TREE)) for _ in range(3)]
    ours, other = (statistics.median(some) for some in zip(*both, strict=True))
    add(
        rows, "a picture of 1,000 x 1,000 to label image, table and GeoJSON", "commit 4ac9d7e, its mask alone", ours,
        other, "s", "at most a fifth", statistics.median(one / two for one, two in both) <= 1 / 5,
    )  # fmt: skip


def test_the_parts_around_the_network(rows, model, picture, tmp_path, monkeypatch):
    run, spent = OnnxNetwork.run, []

    def timed(*arguments: object) -> dict[str, np.ndarray]:
        started = time.perf_counter()
        outputs = run(*arguments)
        spent.append(time.perf_counter() - started)
        return outputs

    monkeypatch.setattr(OnnxNetwork, "run", timed)
    both = []
    for _ in range(6):
        spent.clear()
        started = time.perf_counter()
        predict_files(picture, tmp_path, 0.25, model, ("geojson", "csv", "labels"), again=True)
        both.append((time.perf_counter() - started - sum(spent), sum(spent)))
    around, network = (statistics.median(some) for some in zip(*both[1:], strict=True))
    add(
        rows, "the parts around the network, of a picture of 1,000 x 1,000", "the network's own time", around, network,
        "s", "at most a quarter", around <= network / 4,
    )  # fmt: skip


def test_a_first_picture(benchmark, rows, picture, tmp_path):
    first = (
        "import helpers, numpy\nfrom PIL import Image\n"
        "helpers.predict(numpy.array(Image.open(sys.argv[1]))[:256, :256], um_per_px=0.25)"
    )
    ours, other, ratio = in_turn(benchmark, lambda: child(first, picture), lambda: child("import torch"))
    add(
        rows, "a process from its start to the nuclei of 256 x 256 pixels", "import torch", ours, other, "s",
        "at most 1.5 times", ratio <= 1.5,
    )  # fmt: skip


def test_a_slide(rows, tmp_path):
    slide, crop = write_slide(tmp_path / "slide.tif", SIDE, in_a_disc(SIDE)), tmp_path / "crop.tif"
    start = (SIDE // 2 - CROP // 2) // CELL * CELL
    with open_picture(slide) as picture:
        image = picture.read(start, start, CROP, CROP)
    about = {"resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER", "metadata": None}
    tifffile.imwrite(
        crop, image, photometric="rgb", tile=(CELL, CELL), compression="jpeg", compressionargs={"level": 85}, **about
    )
    (of_crop, told_of_crop), (peak, told) = (peak_megabytes(SLIDE, path, tmp_path / "out") for path in (crop, slide))
    (crop_mm2, crop_seconds), (mm2, seconds) = (map(float, words) for words in (told_of_crop, told))
    expected = crop_seconds * mm2 / crop_mm2
    add(
        rows, f"a slide of 20,000 x 20,000, {mm2:.1f} mm2 of tissue", "a crop of 2,000 x 2,000, by area of tissue",
        seconds, expected, "s", "at most 1.15 times", seconds <= 1.15 * expected,
    )  # fmt: skip
    add(
        rows, "peak memory, a slide of 20,000 x 20,000", "a crop of 2,000 x 2,000", peak, of_crop, "MB",
        "under 1,500 MB", peak < 1500,
    )  # fmt: skip
