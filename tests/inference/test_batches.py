"""Logits of tiles: of which pixel, of which tile, on which device; and a clock that is read after the work."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import expit
from tiny_run import make_network
from torch import Tensor, nn

from helpers.inference import batches
from helpers.inference.batches import predict_tiles, spread, time_inference
from helpers.inference.symmetries import SYMMETRIES
from helpers.normalization import normalize
from helpers.provenance import device_name

CPU = torch.device("cpu")


class Redness(nn.Module):
    """Stands in for a network: its logit of a pixel is the pixel's normalised red, many times over."""

    img_size, in_channels = 64, 3

    def __init__(self) -> None:
        super().__init__()
        self.shapes = []

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits."""
        self.shapes.append(tuple(images.shape))
        return 100 * images[:, :1]


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Five tiles of noise at the network's size, each brighter than the one before."""
    noise = np.random.default_rng(0).integers(0, 128, (5, 64, 64, 3))
    return (noise + np.arange(0, 100, 20)[:, None, None, None]).astype(np.uint8)


@pytest.fixture
def _full_precision(monkeypatch):
    monkeypatch.setattr(batches, "mixed_precision", lambda device: contextlib.nullcontext())


@pytest.mark.usefixtures("_full_precision")
def test_logits_are_a_forward_pass(network, images):
    found = predict_tiles(network, images)
    assert (found.shape, found.dtype) == ((5, 64, 64), np.float32)
    with torch.no_grad():
        expected = network(normalize(images))[:, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.std() > 0.01  # the network tells pixels apart, or the above would say little


def test_mixed_precision_changes_little(network, images):
    with torch.no_grad():
        expected = network(normalize(images))[:, 0].numpy()
    found = predict_tiles(network, images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(expit(found), expit(expected), atol=0.05)


@pytest.mark.usefixtures("_full_precision")
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_batch_size_does_not_matter(network, images, batch_size):
    expected = predict_tiles(network, images, batch_size=16)
    np.testing.assert_allclose(predict_tiles(network, images, batch_size=batch_size), expected, atol=1e-5)


def test_tiles_go_to_the_network_in_batches_and_come_back_in_order(images):
    model = Redness()
    found = predict_tiles(model, images, batch_size=2)
    assert model.shapes == [(2, 3, 64, 64), (2, 3, 64, 64), (1, 3, 64, 64)]
    np.testing.assert_allclose(found, (100 * normalize(images)[:, 0]).numpy(), rtol=1e-5)


def test_every_symmetry_shows_another_picture_and_is_undone():
    class Corner(nn.Module):
        """Sees a nucleus in the top left quarter of whatever it is shown, and notes the pictures."""

        img_size, in_channels = 64, 3
        pictures = ()

        def forward(self, images: Tensor) -> Tensor:
            self.pictures = (*self.pictures, images[0, 0].clone())
            logits = torch.zeros_like(images[:, :1])
            logits[..., :32, :32] = 8.0
            return logits

    model, tile = Corner(), np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    averaged = np.mean([predict_tiles(model, tile, symmetry=symmetry) for symmetry in SYMMETRIES], axis=0)
    pictures = torch.stack(model.pictures)
    assert len(pictures) == len(torch.unique(pictures, dim=0)) == 8
    # Each quarter of the tile stood top left in two of the eight.
    np.testing.assert_allclose(averaged, 2.0, atol=1e-6)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_network_that_sees_pixels_alone_knows_no_symmetry(images, symmetry):
    np.testing.assert_allclose(predict_tiles(Redness(), images, symmetry=symmetry), predict_tiles(Redness(), images))


def test_network_is_left_in_evaluation_mode_and_can_still_be_trained(images):
    model = make_network().train()
    predict_tiles(model, images[:1])
    assert not any(module.training for module in model.modules())
    model.train()(normalize(images[:2])).sum().backward()
    assert model.head.weight.grad is not None


@pytest.fixture
def _warn_always():
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


@pytest.mark.usefixtures("_warn_always")
def test_tiles_that_may_only_be_read_are_no_cause_for_a_warning():
    tiles = np.full((1, 64, 64, 3), 255, np.uint8)
    tiles.flags.writeable = False
    assert predict_tiles(Redness(), tiles).min() > 100


def read_clock(monkeypatch, seconds: list[float]) -> None:
    """Let the passes take the given seconds, by a clock that stands still in between."""
    readings = iter([reading for span in seconds for reading in (1000.0, 1000.0 + span)])
    monkeypatch.setattr(batches, "time", SimpleNamespace(perf_counter=lambda: next(readings)))


def test_median_without_the_warm_up(monkeypatch):
    model = Redness()
    # Two passes to warm up, then 4, 1 and 2 seconds; the same for the second batch size, in hundredths.
    read_clock(monkeypatch, [90.0, 80.0, 4.0, 1.0, 2.0, 0.9, 0.8, 0.04, 0.01, 0.02])
    rows = time_inference(model, CPU, batch_sizes=(1, 4), repeats=3, warm_up=2)
    device = device_name(CPU)
    assert rows == [
        {"device": device, "batch_size": 1, "ms_per_batch": 2000.0, "ms_per_tile": 2000.0, "repeats": 3},
        {
            "device": device,
            "batch_size": 4,
            "ms_per_batch": pytest.approx(20),
            "ms_per_tile": pytest.approx(5),
            "repeats": 3,
        },
    ]
    assert model.shapes == [(1, 3, 64, 64)] * 5 + [(4, 3, 64, 64)] * 5


def test_times_of_the_network_itself(network):
    network.train()
    rows = time_inference(network, "cpu", batch_sizes=(1, 2), repeats=2, warm_up=1)
    assert not network.training
    assert [row["batch_size"] for row in rows] == [1, 2]
    for row in rows:
        assert 0.1 < row["ms_per_batch"] < 60_000
        assert row["ms_per_tile"] == row["ms_per_batch"] / row["batch_size"]


def test_dropout_is_off_again_after_an_error():
    model = make_network()
    model.head = torch.nn.Conv2d(5, 1, 1)
    with pytest.raises(RuntimeError):
        predict_tiles(model, np.zeros((1, 64, 64, 3), np.uint8), dropout=True)
    assert not model.dropout.training


def test_spread_is_the_standard_deviation():
    values = np.random.default_rng(0).random((7, 4, 5))
    np.testing.assert_allclose(spread(iter(values)), values.std(0))
