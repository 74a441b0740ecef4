"""Grad-CAM against maps worked out by hand, and a network that is left as it was found."""

import numpy as np
import pytest
import torch
from tiny_run import make_network
from torch import nn
from torch.nn import functional as F

from helpers.explanation.grad_cam import (
    METHODS,
    attention_layers,
    captured,
    choose_regions,
    grad_cam,
    grad_cams,
    region_logits,
    weigh_by_positive_gradients,
)


class TwoChannels(nn.Module):
    """Its layer hands red and green through; the logit is `red` times the one and `green` times the other."""

    def __init__(self, red: float, green: float, pool: int = 1) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.AvgPool2d(pool))
        self.head = nn.Conv2d(2, 1, 1, bias=False)
        self.pool = pool
        with torch.no_grad():
            self.layer[0].weight.copy_(torch.eye(3)[:2, :, None, None])
            self.head.weight.copy_(torch.tensor([red, green])[None, :, None, None])

    def forward(self, images):
        """Give the logits."""
        return F.interpolate(self.head(self.layer(images)), scale_factor=self.pool, mode="nearest")


@pytest.fixture
def image() -> torch.Tensor:
    """Red rises from column to column, green from row to row."""
    columns, rows = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="xy")
    return torch.stack([columns, rows, torch.full((4, 4), 50.0)])[None]


ALL = torch.ones(4, 4, dtype=torch.bool)


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))


# The map.


@pytest.mark.parametrize("region", [ALL, torch.eye(4, dtype=torch.bool)])
def test_map_by_hand(image, region):
    # Every activation has the same gradient in the region and none outside: its share scales the whole map.
    model = TwoChannels(2.0, -1.0)
    red, green = image[0, 0], image[0, 1]
    found = grad_cam(model, image, model.layer, region)
    torch.testing.assert_close(found, (2 * red - green).clamp(min=0) / 6)
    against = TwoChannels(-1.0, 0.0)  # what speaks against a region is no attention
    assert not grad_cam(against, image, against.layer, region).any()


def test_weights_are_means_of_gradients_over_the_layer(image):
    # Logit red * green: its gradient with respect to red is green, and the other way round.
    model = TwoChannels(0.0, 0.0)
    model.head = nn.Module()
    model.head.forward = lambda activations: activations.prod(1, keepdim=True)
    region = ALL.clone()
    region[2:] = False  # over two rows green sums to 4, red to 12
    red, green = image[0, 0], image[0, 1]
    expected = 4 * red + 12 * green
    torch.testing.assert_close(grad_cam(model, image, model.layer, region), expected / expected.max())


def test_map_of_a_small_layer_is_enlarged_bilinearly(image):
    model = TwoChannels(1.0, 0.0, pool=2)
    found = grad_cam(model, image, model.layer, ALL)
    # Pooled, red is 0.5 and 2.5; between the centres of the two halves it goes over in steps of a quarter.
    torch.testing.assert_close(found, torch.tensor([0.5, 1.0, 2.0, 2.5]).expand(4, 4) / 2.5)


def test_region_is_what_the_network_predicts_if_none_is_given(image):
    model = TwoChannels(1.0, -1.0)
    model.head = nn.Module()
    model.head.forward = lambda activations: (activations[:, :1] - 1.5) * activations[:, 1:]
    predicted = model(image)[0, 0] >= 0
    assert 0 < predicted.sum() < 16
    found = grad_cam(model, image, model.layer)
    torch.testing.assert_close(found, grad_cam(model, image, model.layer, predicted))
    assert not torch.allclose(found, grad_cam(model, image, model.layer, ALL))


@pytest.mark.parametrize("name", ["encoder 5", "decoder 4", "decoder 2", "decoder 0"])
def test_map_of_the_network_by_another_way(network, noise, name):
    # Here activations are replaced by leaves that ask for a gradient, and sums are written out.
    layer, kept = attention_layers(network)[name], []

    def detach(module, inputs, output):
        kept.append(output.detach().clone().requires_grad_())
        return kept[0]

    handle = layer.register_forward_hook(detach)
    logits = network(noise)
    handle.remove()
    region = torch.zeros(64, 64, dtype=torch.bool)
    region[10:40, 20:50] = True
    logits[0, 0][region].sum().backward()
    network.zero_grad()
    weights = kept[0].grad[0].numpy().mean(axis=(1, 2))
    heat = np.maximum(np.einsum("c,chw->hw", weights, kept[0].detach()[0].numpy()), 0)
    heat = F.interpolate(torch.from_numpy(heat)[None, None], (64, 64), mode="bilinear")[0, 0]
    assert heat.max() > 0
    found = grad_cam(network, noise, layer, region)
    torch.testing.assert_close(found, heat / heat.max(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["encoder 5", "decoder 3", "decoder 1"])
def test_map_is_from_nought_to_one_at_the_size_of_the_image(network, noise, name):
    found = grad_cam(network, noise[..., :50], attention_layers(network)[name])
    assert (found.shape, found.dtype, found.requires_grad) == ((64, 50), torch.float32, False)
    # The weighted sum of the deepest layer may be negative everywhere, as chance has it.
    assert float(found.max()) == 1 or (name == "encoder 5" and not found.any())
    assert float(found.min()) >= 0


def test_layers_from_the_deepest_up(network, noise):
    layers = attention_layers(network)
    assert list(layers) == ["encoder 5", "decoder 4", "decoder 3", "decoder 2", "decoder 1", "decoder 0"]
    with torch.no_grad(), captured(*layers.values()) as outputs:
        network(noise)
    shapes = [tuple(output.shape[1:]) for output in outputs]
    assert shapes == [(1280, 2, 2), (192, 4, 4), (112, 8, 8), (40, 16, 16), (24, 32, 32), (16, 64, 64)]


# Nothing to see.


@pytest.mark.parametrize("name", ["encoder 5", "decoder 0"])
def test_empty_region_gives_an_empty_map(network, noise, name):
    found = grad_cam(network, noise, attention_layers(network)[name], torch.zeros(64, 64, dtype=torch.bool))
    assert found.shape == (64, 64)
    assert found.isfinite().all()
    assert not found.any()


@pytest.mark.parametrize("grey", [0.0, 2.6])
def test_blank_image_gives_numbers(network, grey):
    blank = torch.full((1, 3, 64, 64), grey)
    for layer in attention_layers(network).values():
        found = grad_cam(network, blank, layer)
        assert found.isfinite().all()
        assert float(found.max()) in (0.0, 1.0)


@pytest.mark.parametrize("shape", [(64, 64, 1), (32, 32), (1, 64, 64)])
def test_region_of_another_shape_is_refused(network, noise, shape):
    with pytest.raises(ValueError, match=r"region: expected the image's shape \(64, 64\)"):
        grad_cam(network, noise, network.head, torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (3, 64, 64)])
def test_other_than_one_image_is_refused(network, shape):
    with pytest.raises(ValueError, match=r"image: expected shape \(1, 3, H, W\)"):
        grad_cam(network, torch.zeros(shape), network.head)


# The network afterwards.


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def test_every_part_is_in_the_mode_it_was_in(noise):
    model = make_network().train()
    model.encoder.eval()  # as where its batch norms are frozen
    before = modes(model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    grad_cam(model, noise, model.decoder[0])
    assert modes(model) == before
    assert len(set(before)) == 2
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_map_is_that_of_evaluation_mode(noise):
    model = make_network()
    expected = grad_cam(model, noise, model.dropout)
    assert not any(module._forward_hooks for module in model.modules())
    torch.testing.assert_close(grad_cam(model.train(), noise, model.dropout), expected)


def test_parameters_and_image_get_no_gradient(image):
    model = TwoChannels(1.0, 1.0)
    model.head.weight.grad = torch.full_like(model.head.weight, 7.0)  # of a step that is under way
    grad_cam(model, image, model.layer, ALL)
    assert model.layer[0].weight.grad is None
    assert model.head.weight.grad.unique().tolist() == [7.0]
    assert (image.grad, image.requires_grad) == (None, False)


def test_frozen_weights_and_a_caller_without_gradients_make_no_difference(image):
    model = TwoChannels(1.0, -0.5)
    expected = grad_cam(model, image, model.layer, ALL)
    assert expected.max() == 1
    with torch.no_grad():
        torch.testing.assert_close(grad_cam(model, image, model.layer, ALL), expected)
        assert not torch.is_grad_enabled()
    torch.testing.assert_close(grad_cam(model.requires_grad_(False), image, model.layer, ALL), expected)
    with torch.inference_mode():
        model = TwoChannels(1.0, -0.5)
        made_here = image.clone(), model.layer, ALL.clone()
        torch.testing.assert_close(grad_cam(model, *made_here), expected)
    torch.testing.assert_close(grad_cam(model, *made_here), expected)


def test_what_follows_a_layer_may_write_in_place(image):
    model = TwoChannels(1.0, 0.0)
    expected = grad_cam(model, image, model.layer, ALL)
    model.head = nn.Sequential(nn.ReLU(inplace=True), model.head)  # which changes nothing here: red is 0 or more
    torch.testing.assert_close(grad_cam(model, image, model.layer, ALL), expected)


def test_logits_of_a_region_in_inference_mode_leave_weights_fit_for_gradients(network, noise):
    region = torch.ones(64, 64, dtype=torch.bool)
    with torch.inference_mode():
        region_logits(network, noise, region)
    assert not any(weights.is_inference() for weights in network.parameters())
    assert grad_cam(network, noise, network.decoder[3], region).isfinite().all()


def test_hooks_are_gone_and_modes_back_after_an_error(image):
    model = TwoChannels(1.0, 1.0).train()
    model.head = nn.Conv2d(5, 1, 1)  # which the layer's two channels do not fit
    with pytest.raises(RuntimeError):
        grad_cam(model, image, model.layer, ALL)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(modes(model))


def test_outputs_are_captured_in_the_order_of_the_calls(image):
    model = TwoChannels(1.0, 1.0)
    with captured(model.head, model.layer) as outputs:
        model(image)
    assert [output.shape[1] for output in outputs] == [2, 1]
    model(image)
    assert len(outputs) == 2


# Grad-CAM++, and other questions.


def test_plus_plus_by_hand(image):
    # Logit 2 red: everywhere g = 2 for red, 0 for green. alpha = g^2 / (2 g^2 + g^3 sum(A)) = 4 / (8 + 8 * 24).
    model = TwoChannels(2.0, 0.0)
    red = image[0, 0]
    gradients = torch.stack([torch.full((4, 4), 2.0), torch.zeros(4, 4)])[None]
    weights = weigh_by_positive_gradients(gradients, image[:, :2])
    torch.testing.assert_close(weights.ravel(), torch.tensor([16 * 2 * 4 / (8 + 8 * 24), 0.0]))
    torch.testing.assert_close(grad_cam(model, image, model.layer, ALL, "Grad-CAM++"), red / 3)


def test_plus_plus_has_no_weight_for_what_speaks_against(image):
    model = TwoChannels(2.0, -1.0)
    found = grad_cam(model, image, model.layer, ALL, "Grad-CAM++")
    torch.testing.assert_close(found, image[0, 0] / 3)


def test_against_is_the_map_of_the_negated_network(image):
    model, negated = TwoChannels(1.0, -2.0), TwoChannels(-1.0, 2.0)
    expected = grad_cam(negated, image, negated.layer, ALL)
    torch.testing.assert_close(grad_cam(model, image, model.layer, ALL, against=True), expected)
    assert expected.max() == 1


def test_several_layers_in_one_pass_are_those_of_one_by_one(network, noise):
    layers = attention_layers(network)
    maps = grad_cams(network, noise, layers)
    assert list(maps) == list(METHODS)
    for method, heats in maps.items():
        for name, heat in heats.items():
            torch.testing.assert_close(heat, grad_cam(network, noise, layers[name], method=method))


def test_regions_divide_the_image():
    mask = np.zeros((20, 20), bool)
    mask[2:5, 2:5] = mask[10:18, 10:18] = True
    regions = choose_regions(mask)
    assert list(regions) == ["one nucleus", "all nuclei", "background"]
    assert np.argwhere(regions["one nucleus"]).min() == 10
    np.testing.assert_array_equal(regions["all nuclei"] ^ regions["background"], np.ones((20, 20), bool))
    assert not choose_regions(np.zeros((4, 4), bool))["one nucleus"].any()


def test_logits_of_a_region_are_summed_image_by_image(image):
    model = TwoChannels(1.0, 0.0)
    region = torch.zeros(4, 4, dtype=torch.bool)
    region[:, 3] = True
    images = torch.cat([image, 2 * image, 0 * image])
    torch.testing.assert_close(region_logits(model, images, region), torch.tensor([12.0, 24.0, 0.0]))
