"""The road below `predict`: logits of images in memory."""

import numpy as np
import pytest
import torch
from colour_networks import Darkness, Redness, discs, paint
from tiny_run import make_network
from torch import Tensor, nn

from helpers.inference import blocks
from helpers.inference.batches import predict_tiles
from helpers.inference.segmentation import predict_logits, segment
from helpers.inference.symmetries import SYMMETRIES
from helpers.inference.trained_model import TrainedModel


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def test_one_tile_at_the_models_scale_is_what_the_network_gives(noise):
    model = TrainedModel(make_network(), 0.25)
    logits = predict_logits(model, noise, 0.25)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, predict_tiles(model.network, noise[None])[0], atol=1e-5)


def test_symmetries_are_averaged_as_logits(noise):
    model = TrainedModel(make_network(), 0.25)
    each = [predict_tiles(model.network, noise[None], symmetry=symmetry)[0] for symmetry in SYMMETRIES]
    np.testing.assert_allclose(predict_logits(model, noise, 0.25, "cpu", SYMMETRIES), np.mean(each, axis=0), atol=1e-5)


def test_where_tiles_overlap_the_nearer_one_counts_more():
    class Count(nn.Module):
        """Gives the first tile 0, the second 1."""

        img_size, in_channels, seen = 64, 3, 0

        def forward(self, images: Tensor) -> Tensor:
            values = torch.arange(self.seen, self.seen + len(images), dtype=torch.float32)
            self.seen += len(images)
            return values.view(-1, 1, 1, 1).expand(-1, 1, 64, 64).clone()

    logits = predict_logits(TrainedModel(Count(), 0.25), np.full((64, 112, 3), 150, np.uint8), 0.25)
    row = logits[32]  # tiles begin at columns 0 and 48, and share 16
    assert (row[:48] == 0).all()
    assert (row[64:] == 1).all()
    expected = [step / (step + 17 - step) for step in range(1, 17)]
    np.testing.assert_allclose(row[48:64], expected, rtol=1e-5)


@pytest.mark.parametrize("um_per_px", [0.125, 0.25])
def test_an_edge_stays_in_place_on_the_way_to_another_scale_and_back(um_per_px):
    image = np.full((256, 256, 3), 20, np.uint8)
    image[60:, 128:] = (220, 120, 180)  # an edge between columns 127 and 128, one between rows 59 and 60
    found = predict_logits(TrainedModel(Redness(), 0.25), image, um_per_px) >= 0
    expected = np.zeros((256, 256), bool)
    expected[60:, 128:] = True
    assert (found != expected).sum() <= 1  # the corner is round
    assert found[60, 200]
    assert not found[59, 200]
    assert found[200, 128]
    assert not found[200, 127]


def test_blocks_give_the_logits_of_the_whole(monkeypatch):
    image, model = paint(discs(300, 410)), TrainedModel(Darkness(), 0.25)
    whole = predict_logits(model, image, 0.25)
    monkeypatch.setattr(blocks, "SIDE", 192)
    np.testing.assert_allclose(predict_logits(model, image, 0.25), whole, atol=1e-4)


def test_mask_and_probability_are_those_of_the_logits(monkeypatch):
    monkeypatch.setattr(blocks, "SIDE", 192)
    image, model = paint(discs(200, 310)), TrainedModel(Darkness(), 0.25, temperature=2.0)
    found, logits = segment(model, image, 0.25), predict_logits(model, image, 0.25)
    np.testing.assert_array_equal(found.mask, logits >= 0)
    np.testing.assert_allclose(found.probability, 1 / (1 + np.exp(-logits / 2)), atol=1e-6)
