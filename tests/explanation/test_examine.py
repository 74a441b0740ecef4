"""One image examined: a stand-in network whose uncertainties are known, then the shipped one."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from tiny_run import make_network
from torch import Tensor, nn

import helpers
from helpers.errors import InputError
from helpers.explanation.examine import examine
from helpers.inference.predict import predict
from helpers.inference.trained_model import TrainedModel, shipped_model
from helpers.report.overlays import plot_examination
from helpers.sample_tissue.sample import sample_field

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
    found = examine(image, model=model)
    assert (found.nuclei, found.unsure) == (2, 1)
    np.testing.assert_array_equal(found.mask, image[..., 0] < 200)
    np.testing.assert_array_equal(found.sure, image[..., 0] < 50)


def test_probability_and_mask_are_those_of_averaged_prediction(model, image):
    found, averaged = examine(image, model=model), predict(image, model=model, flips_and_turns=True)
    np.testing.assert_array_equal(found.mask, averaged.mask)
    np.testing.assert_allclose(found.probability, averaged.probability, atol=1e-5)
    plain = examine(image, model=dataclasses.replace(model, temperature=1.0))
    np.testing.assert_allclose(expit(logit(plain.probability.astype(float)) / 2), found.probability, atol=1e-5)
    np.testing.assert_array_equal(plain.spread, found.spread)


def test_spread_is_where_the_network_depends_on_the_side(model, image):
    spread = examine(image, model=model).spread
    assert spread.shape == image.shape[:2]
    assert spread.max() > 0.005
    assert np.median(spread) < 0.001


def test_attention_is_on_nuclei(model, image):
    found = examine(image, model=model)
    assert found.attention.max() == pytest.approx(1, abs=0.1)
    assert found.attention[found.mask].mean() > 2 * found.attention[~found.mask].mean()


def test_the_sentence_by_hand(model, image):
    text = examine(image, um_per_px=0.25, model=model).describe()
    assert text.startswith("2 nuclei (touching ones counted as one) cover 128 µm², 42.7% of the image")
    assert "1 of them" in text


def test_an_image_without_nuclei(model):
    found = examine(np.full((70, 64, 3), 255, np.uint8), model=model)
    assert (found.nuclei, found.unsure) == (0, 0)
    assert not any(values.any() for values in (found.attention, found.mask, found.sure))
    assert found.describe() == "No nuclei were found in this image."
    plot_examination(found)
    plt.close("all")


def test_an_image_that_is_all_nucleus(model):
    found = examine(np.full((64, 64, 3), 20, np.uint8), model=model)
    assert (found.nuclei, found.unsure) == (1, 0)


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


def test_too_large_an_image_is_refused_before_it_is_predicted(model):
    model = dataclasses.replace(model, network=None)
    with pytest.raises(InputError, match="at most 1024 pixels a side at the model's 0.25 um/px, found 64 x 1600"):
        examine(np.full((32, 800, 3), 255, np.uint8), um_per_px=0.5, model=model)


def test_something_else_than_an_image_is_refused(model):
    with pytest.raises(InputError, match="expected an RGB array"):
        examine("image.png", model=model)


def test_a_path_in_place_of_a_model_is_refused(image):
    with pytest.raises(InputError, match=r"expected what `helpers.load_model\(PATH\)` gives, found str"):
        examine(image, model="x.safetensors")


def test_a_prediction_in_inference_mode_leaves_the_shipped_model_fit_for_gradients():
    shipped_model.cache_clear()
    with torch.inference_mode():
        helpers.predict(np.full((64, 64, 3), 200, np.uint8))
    tissue = sample_field(3)[0][:64, :64]
    assert helpers.examine(tissue).attention.max() <= 1


def test_gradients_at_another_scale(image):
    model = TrainedModel(make_network(), 0.5, 0.0, 1.0, "Grad-CAM, decoder 1", (), "")
    found = examine(image, model=model)
    for values in (found.attention, found.spread, found.probability):
        assert values.shape == image.shape[:2]
        assert np.isfinite(values).all()
    figure = plot_examination(found)
    assert [axis.get_title() for axis in figure.axes[:4]][2] == "attention: Grad-CAM, decoder 1"
    plt.close(figure)


def test_the_shipped_model_examines_sample_tissue():
    image = sample_field(3)[0][:256, :256]
    found = helpers.examine(image)
    assert found.nuclei > 3
    assert 0 < found.attention.max() <= 1
    assert found.describe().startswith(f"{found.nuclei} nuclei")
