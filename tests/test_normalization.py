"""Normalised by hand, and back."""

import numpy as np
import torch

from helpers.normalization import denormalize, normalize


def test_normalised_pixel_by_hand():
    pixel = normalize(np.array([[[[255, 0, 51]]]], np.uint8))
    assert pixel.dtype == torch.float32
    assert pixel.shape == (1, 3, 1, 1)
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(pixel.flatten(), expected, rtol=1e-6)


def test_normalising_and_back():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    batch = normalize(images)
    assert batch.shape == (2, 3, 8, 8)
    np.testing.assert_allclose(denormalize(batch).astype(int), images, atol=1)
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    np.testing.assert_array_equal(denormalize(normalize(levels)), levels)


def test_denormalised_stays_in_range():
    extremes = torch.tensor([-50.0, 50.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert denormalize(extremes).tolist() == [[[[0, 0, 0], [255, 255, 255]]]]
