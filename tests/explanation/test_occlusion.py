"""Occlusion of networks whose answer is known."""

import numpy as np
import pytest
import torch
from tiny_run import make_network
from torch import Tensor, nn

from helpers.explanation.occlusion import blurred, occlusion_map


class Brightness(nn.Module):
    """The logit of a pixel is its red."""

    def forward(self, images: Tensor) -> Tensor:
        """Give `(B, 1, H, W)`."""
        return images[:, :1]


@pytest.fixture
def image() -> Tensor:
    """A bright square on the dark."""
    image = torch.zeros(1, 3, 64, 64)
    image[..., 16:32, 24:40] = 10.0
    return image


ALL = torch.ones(64, 64, dtype=torch.bool)


def test_what_matters_is_where_it_is(image):
    heat = occlusion_map(Brightness(), image, ALL, overlap=1)
    assert (heat.shape, heat.dtype, float(heat.max())) == ((64, 64), torch.float32, 1.0)
    inside = image[0, 0] > 0
    assert heat[inside].min() > 0.9  # windows of 8 pixels fall into the square whole
    assert heat[~inside].max() == 0


def test_drop_by_hand(image):
    # A window of 8 x 8 over the square shows its blur there: the drop is the sum of their difference.
    heat = occlusion_map(Brightness(), image, ALL, overlap=1)
    drop = (image - blurred(image))[0, 0].unfold(0, 8, 8).unfold(1, 8, 8).sum((2, 3)).clamp(min=0)
    torch.testing.assert_close(heat[::8, ::8], drop / drop.max())


def test_overlapping_windows_cover_every_pixel(image):
    heat = occlusion_map(Brightness(), image, ALL, overlap=2)
    assert heat[20:28, 28:36].min() > 0.9
    assert heat[40:].max() == 0


def test_only_the_region_counts(image):
    region = torch.zeros(64, 64, dtype=torch.bool)
    region[16:32, 24:32] = True
    heat = occlusion_map(Brightness(), image, region, overlap=1)
    assert heat[20, 28] == pytest.approx(1, abs=0.1)
    assert heat[20, 36] == 0


def test_against_asks_the_other_way_round(image):
    against = occlusion_map(Brightness(), image, ALL, overlap=1, against=True)
    assert against[20, 28] == 0
    assert against[12, 28] > 0  # beside the square its blur is brighter than what it hides


def test_blur_leaves_the_mean_colour_and_no_nucleus(image):
    nucleus = torch.zeros(1, 3, 64, 64)
    nucleus[..., 28:36, 28:36] = 10.0
    assert float(blurred(nucleus).max()) < 2.5
    soft = blurred(image)
    torch.testing.assert_close(blurred(torch.full((2, 3, 64, 64), 0.7)), torch.full((2, 3, 64, 64), 0.7))
    turned = blurred(image.transpose(2, 3)).transpose(2, 3)
    torch.testing.assert_close(soft, turned, atol=1e-5, rtol=0)


def test_network_is_left_as_it_was():
    network = make_network().train()
    noise = torch.randn(1, 3, 64, 50, generator=torch.Generator().manual_seed(0))
    heat = occlusion_map(network, noise, overlap=1)
    assert heat.shape == (64, 50)
    assert np.isfinite(heat.numpy()).all()
    assert all(module.training for module in network.modules())


def test_region_of_another_size_is_refused(image):
    with pytest.raises(ValueError, match=r"region: expected the image's shape \(64, 64\)"):
        occlusion_map(Brightness(), image, ALL[:32])
