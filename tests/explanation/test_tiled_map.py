"""One map of many tiles: that of the whole image where the network sees no further than a pixel, and no tile's own."""

import numpy as np
import pytest
import torch
from tiny_run import make_network
from torch import Tensor, nn

from helpers.explanation.faithfulness import OCCLUSION, make_map
from helpers.explanation.grad_cam import grad_cam
from helpers.explanation.tiled_map import make_tiled_map
from helpers.normalization import normalize


class PixelByPixel(nn.Module):
    """The logit of a pixel is the product of two of its colours, so that gradients differ from place to place."""

    img_size, in_channels = 32, 3

    def __init__(self) -> None:
        super().__init__()
        self.dropout, self.decoder = nn.Identity(), nn.ModuleList([nn.Conv2d(3, 2, 1, bias=False)])
        with torch.no_grad():
            self.decoder[0].weight.copy_(torch.eye(3)[:2, :, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Give logits `(B, 1, H, W)`."""
        return self.decoder[0](self.dropout(images)).prod(1, keepdim=True)


class Redness(PixelByPixel):
    """The logit of a pixel is its red."""

    def forward(self, images: Tensor) -> Tensor:
        """Give logits `(B, 1, H, W)`."""
        return images[:, :1]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Noise that grows brighter to the right, so that no two tiles are alike."""
    noise = np.random.default_rng(0).integers(0, 120, (70, 100, 3))
    return (noise + np.linspace(0, 130, 100)[None, :, None]).astype(np.uint8)


@pytest.fixture(scope="module")
def region() -> np.ndarray:
    """Many pixels on the left, few on the right."""
    region = np.zeros((70, 100), bool)
    region[5:60, 3:40] = region[20:24, 80:90] = True
    return region


@pytest.mark.parametrize("name", ["Grad-CAM, decoder 1", "Grad-CAM++, decoder 3", OCCLUSION])
@pytest.mark.parametrize("shape", [(64, 64), (50, 33)])
def test_an_image_within_a_tile_has_the_map_it_always_had(shape, name, image, region):
    network = make_network(64)
    image, region = image[: shape[0], : shape[1]], region[: shape[0], : shape[1]]
    found = make_tiled_map(network, image, region, name)
    np.testing.assert_array_equal(found, make_map(network, normalize(image[None]), torch.from_numpy(region), name))


def test_tiles_of_a_network_that_sees_one_pixel_make_the_map_of_the_whole(image, region):
    network = PixelByPixel()
    found = make_tiled_map(network, image, region, "Grad-CAM, decoder 4")
    whole = grad_cam(network, normalize(image[None]), network.decoder[0], torch.from_numpy(region))
    assert (found.shape, found.dtype, found.max()) == ((70, 100), np.float32, 1)
    np.testing.assert_allclose(found, whole, atol=1e-5)


@pytest.mark.parametrize("name", ["Grad-CAM, decoder 1", "Grad-CAM++, decoder 1"])
def test_tiles_of_a_real_network_make_one_map(name, image, region):
    network = make_network(32)
    with torch.no_grad():
        found = make_tiled_map(network, image, region, name)
    assert np.isfinite(found).all()
    assert (found.min() >= 0, found.max()) == (True, 1)
    # Not each tile's hottest spot is as hot as every other's.
    assert len({round(float(found[:32, left : left + 32].max()), 3) for left in (0, 34, 68)}) == 3


def test_occlusion_is_in_one_unit_all_over():
    image = np.zeros((32, 96, 3), np.uint8)
    image[12:20, 12:20, 0], image[12:20, 76:84, 0] = 200, 100
    region = image[..., 0] > 0
    found = make_tiled_map(Redness(), image, region, OCCLUSION)
    assert found[12:20, 12:20].max() == 1
    assert found[12:20, 76:84].max() == pytest.approx(0.5, abs=0.01)
    assert not found[:, 40:56].any()


@pytest.mark.parametrize("name", ["Grad-CAM++, decoder 4", OCCLUSION])
def test_an_empty_region_has_an_empty_map(name, image):
    assert not make_tiled_map(PixelByPixel(), image, np.zeros((70, 100), bool), name).any()
