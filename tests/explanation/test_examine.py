"""One image examined: a stand-in network whose uncertainties are known, then the shipped one."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from nightly import NIGHTLY
from scipy.special import expit, logit
from tiny_run import make_network
from torch import Tensor, nn

import helpers
from helpers.errors import InputError
from helpers.explanation.examine import examine, make_tiled_map
from helpers.explanation.faithfulness import OCCLUSION, make_map
from helpers.explanation.grad_cam import grad_cam
from helpers.inference.predict import predict
from helpers.inference.trained_model import TrainedModel, shipped_model
from helpers.normalization import normalize
from helpers.report.overlays import plot_examination
from helpers.sample_tissue.sample import sample_field

ROOT = Path(__file__).resolve().parents[2]
SQUARES = ((8, 40, 8, 40), (8, 40, 60, 92))  # one black, one grey


class Darkness(nn.Module):
    """The logit grows with the darkness of a pixel; the right half of a tile counts for a little less."""

    img_size, in_channels = 64, 3

    def forward(self, images: Tensor) -> Tensor:
        """Give logits `(B, 1, H, W)`."""
        logits = -2 * images[:, 1:2]
        return logits - (images[:, :1] * 0).index_fill(3, logits.new_tensor([40, 41], dtype=int), 0.3)


@pytest.fixture
def model() -> TrainedModel:
    return TrainedModel(Darkness(), 0.25, 0.0, 2.0, "occlusion", (), "")


@pytest.fixture
def image() -> np.ndarray:
    image = np.full((48, 100, 3), 250, np.uint8)
    for (top, bottom, left, right), grey in zip(SQUARES, (0, 110), strict=True):
        image[top:bottom, left:right] = grey
    return image


def test_sure_and_unsure_nuclei(model, image):
    found = examine(image, 0.25, model=model)
    assert (found.nuclei, found.unsure) == (2, 1)
    np.testing.assert_array_equal(found.mask, image[..., 0] < 200)
    np.testing.assert_array_equal(found.sure, image[..., 0] < 50)


def test_probability_and_mask_are_those_of_averaged_prediction(model, image):
    found, averaged = examine(image, 0.25, model=model), predict(image, 0.25, model=model, flips_and_turns=True)
    np.testing.assert_array_equal(found.mask, averaged.mask)
    np.testing.assert_allclose(found.probability, averaged.probability, atol=1e-5)
    plain = examine(image, 0.25, model=dataclasses.replace(model, temperature=1.0))
    np.testing.assert_allclose(expit(logit(plain.probability.astype(float)) / 2), found.probability, atol=1e-5)
    np.testing.assert_array_equal(plain.spread, found.spread)


def test_spread_is_where_the_network_depends_on_the_side(model, image):
    spread = examine(image, 0.25, model=model).spread
    assert spread.shape == image.shape[:2]
    assert spread.max() > 0.005
    assert np.median(spread) < 0.001


def test_attention_is_on_nuclei(model, image):
    found = examine(image, 0.25, model=model)
    assert found.attention.max() == pytest.approx(1, abs=0.1)
    assert found.attention[found.mask].mean() > 2 * found.attention[~found.mask].mean()


def test_the_sentence_by_hand(model, image):
    text = examine(image, um_per_px=0.25, model=model).describe()
    assert text.startswith("2 nuclei (touching ones counted as one) cover 128 µm², 42.7% of the image")
    assert "1 of them" in text


def test_an_image_without_nuclei(model):
    found = examine(np.full((70, 64, 3), 255, np.uint8), 0.25, model=model)
    assert (found.nuclei, found.unsure) == (0, 0)
    assert not any(values.any() for values in (found.attention, found.mask, found.sure))
    assert found.describe() == "No nuclei were found in this image."
    plot_examination(found)
    plt.close("all")


def test_an_image_that_is_all_nucleus(model):
    found = examine(np.full((64, 64, 3), 20, np.uint8), 0.25, model=model)
    assert (found.nuclei, found.unsure) == (1, 0)


def test_an_image_of_many_tiles_is_examined(model):
    image = np.full((48, 1300, 3), 250, np.uint8)
    image[8:40, 20:52], image[8:40, 1240:1272] = 0, 110
    found = examine(image, 0.25, model=model)
    assert (found.nuclei, found.unsure) == (2, 1)
    assert found.attention[:, 20:52].max() == 1
    assert 0.2 < found.attention[:, 1240:1272].max() < 0.8  # a grey nucleus says less than a black one, tiles apart
    assert found.attention[:, 200:1100].max() == 0


@pytest.mark.skipif(not NIGHTLY, reason="a minute or two: tried every night")
def test_memory_does_not_grow_with_the_networks_features():
    code = """if True:
        import resource, numpy as np, helpers
        helpers.examine(np.full((32, 32, 3), 200, np.uint8), 0.25)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert helpers.examine(np.random.default_rng(0).integers(0, 255, (520, 520, 3), np.uint8), 0.25).image.size
        print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    kilobytes = [int(word) for word in done.stdout.split()]
    assert kilobytes[1] - kilobytes[0] < 600e3  # a pass with gradients over the whole image would take 2 GB


def test_beyond_the_edge_there_is_nothing_to_see(model, image):
    image = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    image[:, :50] = 0
    with pytest.warns(UserWarning, match="2,592 of 4,800 pixels are black or transparent") as warned:
        found = examine(image, "0.25", model)
    assert len(warned) == 1
    assert (found.nuclei, found.um_per_px, found.image.shape) == (1, 0.25, (48, 100, 3))
    assert found.describe().startswith("1 nuclei")
    for values in (found.probability, found.spread, found.attention, found.sure):
        assert np.isfinite(values).all()
        assert not values[:, :54].any()


def test_something_else_than_an_image_is_refused(model):
    with pytest.raises(InputError, match="expected an RGB array"):
        examine([[1, 2, 3]], 0.25, model=model)


def test_a_path_in_place_of_a_model_is_refused(image):
    with pytest.raises(InputError, match=r"expected what `helpers.load_model\(PATH\)` gives, found str"):
        examine(image, 0.25, model="x.safetensors")


def test_a_model_that_no_gradient_passes_is_refused():
    model = shipped_model(fastest=True)
    with pytest.raises(InputError, match=r"expected one that gradients pass, found one of an \.onnx file; load the"):
        examine(np.full((64, 64, 3), 230, np.uint8), 0.25, model)


def test_a_prediction_in_inference_mode_leaves_the_shipped_model_fit_for_gradients():
    shipped_model.cache_clear()
    with torch.inference_mode():
        helpers.predict(np.full((64, 64, 3), 200, np.uint8), 0.25)
    tissue = sample_field(3)[0][:64, :64]
    assert helpers.examine(tissue, 0.25).attention.max() <= 1


@pytest.mark.parametrize(
    ("without", "name"),
    [
        (torch.inference_mode, "Grad-CAM++, decoder 1"),
        (torch.inference_mode, "occlusion"),
        (torch.no_grad, "Grad-CAM++, decoder 1"),
    ],
)
def test_a_caller_without_gradients_makes_no_difference(without, name, image):
    image = np.maximum(image[:, 24:56], 20)  # black at the border would be no tissue
    expected = examine(image, 0.25, model=TrainedModel(make_network(32), 0.25, 0.0, 1.0, name))
    with without():
        model = TrainedModel(make_network(32), 0.25, 0.0, 1.0, name)  # weights made here, too
        found = examine(image, 0.25, model=model)
    for values in vars(expected):
        np.testing.assert_array_equal(getattr(found, values), getattr(expected, values))
    assert expected.attention.max() > 0
    np.testing.assert_array_equal(examine(image, 0.25, model=model).attention, expected.attention)


def test_gradients_at_another_scale(image):
    model = TrainedModel(make_network(), 0.5, 0.0, 1.0, "Grad-CAM, decoder 1", (), "")
    found = examine(image, 0.25, model=model)
    for values in (found.attention, found.spread, found.probability):
        assert values.shape == image.shape[:2]
        assert np.isfinite(values).all()
    figure = plot_examination(found)
    assert [axis.get_title() for axis in figure.axes[:4]][2] == "attention: Grad-CAM, decoder 1"
    plt.close(figure)


def test_the_shipped_model_examines_sample_tissue():
    image = sample_field(3)[0][:256, :256]
    found = helpers.examine(image, 0.25)
    assert found.nuclei > 3
    assert 0 < found.attention.max() <= 1
    assert found.describe().startswith(f"{found.nuclei} nuclei")


# One map of many tiles: that of the whole image where the network sees no further than a pixel, and no tile's own.


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
def bright_to_the_right() -> np.ndarray:
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
def test_an_image_within_a_tile_has_the_map_it_always_had(shape, name, bright_to_the_right, region):
    network = make_network(64)
    image, region = bright_to_the_right[: shape[0], : shape[1]], region[: shape[0], : shape[1]]
    found = make_tiled_map(network, image, region, name)
    np.testing.assert_array_equal(found, make_map(network, normalize(image[None]), torch.from_numpy(region), name))


def test_tiles_of_a_network_that_sees_one_pixel_make_the_map_of_the_whole(bright_to_the_right, region):
    network, image = PixelByPixel(), bright_to_the_right
    found = make_tiled_map(network, image, region, "Grad-CAM, decoder 4")
    whole = grad_cam(network, normalize(image[None]), network.decoder[0], torch.from_numpy(region))
    assert (found.shape, found.dtype, found.max()) == ((70, 100), np.float32, 1)
    np.testing.assert_allclose(found, whole, atol=1e-5)


@pytest.mark.parametrize("name", ["Grad-CAM, decoder 1", "Grad-CAM++, decoder 1"])
def test_tiles_of_a_real_network_make_one_map(name, bright_to_the_right, region):
    network, image = make_network(32), bright_to_the_right
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
def test_an_empty_region_has_an_empty_map(name, bright_to_the_right):
    assert not make_tiled_map(PixelByPixel(), bright_to_the_right, np.zeros((70, 100), bool), name).any()
