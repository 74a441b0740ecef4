"""Deletion and insertion of perfect and random maps, and networks that unlearn from the top down."""

import numpy as np
import pytest
import torch
from tiny_run import make_network
from torch import Tensor, nn

from helpers.explanation.faithfulness import (
    ALL_RANDOM,
    CONTROLS,
    OCCLUSION,
    SHARES,
    all_maps,
    cascade_correlations,
    control_maps,
    curve_areas,
    deletion_insertion,
    make_map,
    measure_maps,
    randomized_cascade,
    rank_blocks,
)
from helpers.explanation.grad_cam import METHODS, attention_layers, predicted_region
from helpers.normalization import normalize
from helpers.training.comparisons import build_network


class Brightness(nn.Module):
    """The logit of a pixel is its red: what matters is known exactly."""

    def forward(self, images: Tensor) -> Tensor:
        """Give `(B, 1, H, W)`."""
        return images[:, :1]


@pytest.fixture
def image() -> Tensor:
    """An eighth of the image is bright, in blocks of two pixels."""
    image = torch.zeros(1, 3, 64, 64)
    image[:, :, :8] = 100.0
    return image


@pytest.fixture
def region() -> Tensor:
    """The bright part."""
    region = torch.zeros(64, 64, dtype=torch.bool)
    region[:8] = True
    return region


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def tile() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def test_perfect_inverted_and_random_map(image, region):
    truth = image[0, 0].numpy()
    maps = {"perfect": truth, "inverted": -truth, "random": np.zeros((64, 64))}
    curves = deletion_insertion(Brightness(), image, region, maps)
    # The first eighth of the blocks is all that matters.
    np.testing.assert_allclose(curves["perfect"], [[1, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1]], atol=1e-5)
    np.testing.assert_allclose(curves["inverted"][0, :-1], 1, atol=1e-5)
    np.testing.assert_allclose(curves["inverted"][1, :-1], 0, atol=1e-5)
    # By lot, as much is gone as the share of the blocks.
    np.testing.assert_allclose(curves["random"], [1 - np.array(SHARES), SHARES], atol=0.1)
    gains = {name: np.diff(curve_areas(both))[0] for name, both in curves.items()}
    assert gains["perfect"] == pytest.approx(1 - 0.125, abs=1e-5)
    assert gains["random"] == pytest.approx(0, abs=0.1)
    assert gains["inverted"] == pytest.approx(-0.75, abs=1e-5)  # all is lost or won in the last quarter


def test_nothing_to_explain_is_not_a_number(image, region):
    for flat in (torch.zeros_like(image), image / 1000):  # blurring costs less than a logit a pixel
        curves = deletion_insertion(Brightness(), flat, region, {"map": np.zeros((64, 64))})
        assert np.isnan(curves["map"]).all()
    empty = torch.zeros_like(region)
    assert np.isnan(deletion_insertion(Brightness(), image, empty, {"map": np.zeros((64, 64))})["map"]).all()


def test_area_of_a_straight_line_is_a_half():
    np.testing.assert_allclose(curve_areas(np.array([[1 - np.array(SHARES), SHARES]])), [[0.5, 0.5]])


def test_blocks_are_ranked_by_mean_heat_and_ties_by_lot():
    heat = np.arange(32 * 32, dtype=float).reshape(32, 32).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(rank_blocks(heat).numpy().ravel(), np.arange(1024)[::-1])
    first, again, other = (rank_blocks(np.zeros((64, 64)), seed).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9
    np.testing.assert_array_equal(np.sort(first.ravel()), np.arange(1024))


def test_controls(tile):
    controls = control_maps(tile)
    assert tuple(controls) == CONTROLS
    assert np.ptp(controls["random"]) == 0
    dark, bright = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert control_maps(dark)["darkness"].min() > control_maps(bright)["darkness"].max()


def test_every_map_by_its_name(network, tile):
    tensor = normalize(tile[None])
    region = predicted_region(network, tensor)
    maps = all_maps(network, tile, region)
    assert list(maps) == [f"{method}, {layer}" for method in METHODS for layer in attention_layers(network)] + [
        OCCLUSION
    ]
    for name in list(maps)[:-1]:
        np.testing.assert_allclose(make_map(network, tensor, region, name), maps[name], atol=1e-5)
    assert make_map(network, tensor, region, OCCLUSION).shape == (64, 64)


def test_a_cascade_in_inference_mode_is_fit_for_gradients(network):
    with torch.inference_mode():
        for _, part_random in randomized_cascade(network, make_network()):
            assert not any(weights.is_inference() for weights in part_random.parameters())


def test_every_map_and_control_is_measured(network, tile):
    curves = measure_maps(network, [tile, np.full_like(tile, 255)])
    assert set(CONTROLS) < set(curves)
    for values in curves.values():
        assert values.shape == (2, 2, len(SHARES))


# Unlearning.


def states(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_cascade_goes_from_the_head_down_and_touches_only_its_copy(network):
    untrained, before = build_network("unet", 64).eval(), states(network)
    parts, changed = [], []
    for part, unlearnt in randomized_cascade(network, untrained):
        parts.append(part)
        now = unlearnt.state_dict()
        changed.append({name for name, value in now.items() if not torch.equal(value, before[name])})
    assert parts == ["head", *(f"decoder {level}" for level in range(5)), ALL_RANDOM]
    assert all(earlier <= later for earlier, later in zip(changed, changed[1:], strict=False))
    assert {name.split(".")[0] for name in changed[0]} == {"head"}
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(torch.equal(value, untrained.state_dict()[name]) for name, value in now.items())


def test_a_network_that_unlearns_nothing_keeps_its_maps(network, tile):
    correlations = cascade_correlations(network, network, tile)
    for name, networks in correlations.items():
        assert ALL_RANDOM in networks
        assert (len(networks) == 1) is (name == OCCLUSION)
        defined = [value for value in networks.values() if value == value]
        np.testing.assert_allclose(defined, 1, atol=1e-6)


def test_a_network_that_unlearns_changes_its_maps(network, tile):
    correlations = cascade_correlations(network, build_network("unet", 64).eval(), tile)
    assert abs(correlations["Grad-CAM, decoder 1"][ALL_RANDOM]) < 0.9
