"""The networks by name: one contract for all, and the same conditions for other people's as for ours."""

import dataclasses

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from helpers.config import RECIPES, Recipe
from helpers.errors import InputError
from helpers.model import RANDOM_START_MOMENTUM, DepthwiseConv2d, EfficientNetSegmentation, count_parameters
from helpers.training.comparisons import COMPARISONS, NETWORK_NAMES, build_network, untrained_model


@pytest.fixture(scope="module", params=NETWORK_NAMES)
def network(request) -> nn.Module:
    """Every network in turn; tests leave it as it is."""
    torch.manual_seed(0)
    return build_network(request.param, 64, 0.3, num_classes=4).eval()


def test_names_of_the_recipes_are_known():
    assert {recipe.network for recipe in RECIPES.values()} <= set(NETWORK_NAMES)


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (50, 37)])
def test_one_logit_for_every_pixel(network, size):
    with torch.inference_mode():
        logits = network(torch.randn(2, 3, *size))
    assert logits.shape == (2, 1, *size)
    assert torch.isfinite(logits).all()


def test_what_a_checkpoint_needs_is_remembered(network):
    assert network.name in NETWORK_NAMES
    assert (network.img_size, network.in_channels, network.num_classes, network.dropout.p) == (64, 3, 4, 0.3)


def test_one_momentum_for_a_random_start(network):
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(layers) >= 49  # EfficientNet-B0's, and those of a decoder that has any
    assert {layer.momentum for layer in layers} == {RANDOM_START_MOMENTUM}


def test_other_images_are_refused(network):
    with pytest.raises(ValueError, match=r"expected images of shape \(B, 3, H, W\), found \(1, 4, 64, 64\)"):
        network(torch.zeros(1, 4, 64, 64))


def test_gradient_reaches_every_parameter_that_is_counted(network):
    network.train()
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    network.eval()
    reached = {name for name, value in network.named_parameters() if value.grad is not None}
    assert reached == {name for name, value in network.named_parameters() if value.requires_grad}
    network.zero_grad()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("unet-stem1", 7_397_709),  # the table of the report counts the same, see `stages`
        ("smp-unet", 6_251_469 - 1280 * (320 + 2)),  # the package's own count less what its decoders never read
    ],
)
def test_parameters(name, parameters):
    assert count_parameters(build_network(name)) == parameters


@pytest.mark.parametrize(
    ("name", "channels"), [("unet-wide", (256, 128, 64, 32, 16)), ("unet-narrow", (96, 56, 24, 16, 16))]
)
def test_decoder_widths_by_hand(name, channels):
    inputs, skips = (1280, *channels), (112, 40, 24, 16, 0)
    decoder = sum(9 * (i + s) * o + 9 * o * o + 4 * o for i, s, o in zip(inputs, skips, channels, strict=False))
    model = build_network(name)
    assert [block.convolutions[0].out_channels for block in model.decoder] == list(channels)
    assert count_parameters(model) == 4_007_548 + decoder + 16 + 1


def test_unet_is_the_network_it_was():
    torch.manual_seed(5)
    named = build_network("unet", 64)
    torch.manual_seed(5)
    direct = EfficientNetSegmentation(64)
    assert named.name == direct.name == EfficientNetSegmentation.name == "unet"
    assert list(named.state_dict()) == list(direct.state_dict())
    assert {name.split(".")[0] for name in direct.state_dict()} == {"encoder", "decoder", "head"}
    assert all(map(torch.equal, named.state_dict().values(), direct.state_dict().values()))


def test_comparisons_tell_nuclei_alone():
    with pytest.raises(
        InputError, match="network 'smp-fpn': tells nuclei alone, expected one of unet, .* to tell more"
    ):
        build_network("smp-fpn", outputs=("nuclei", "interior"))


def test_unknown_name():
    with pytest.raises(InputError, match=f"network 'resnet': expected one of {', '.join(NETWORK_NAMES)}"):
        build_network("resnet")


def test_untrained_model_is_that_of_the_recipe():
    recipe = Recipe("any", image_size=96, network="smp-unet", dropout=0.4, seed=3)
    state = torch.random.get_rng_state()
    first, second = untrained_model(recipe), untrained_model(recipe)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (first.name, first.img_size, first.dropout.p, first.training) == ("smp-unet", 96, 0.4, False)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))
    other = untrained_model(dataclasses.replace(recipe, seed=4))
    assert not torch.equal(other.network.encoder._conv_stem.weight, first.network.encoder._conv_stem.weight)


# Other people's networks.


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparison_is_the_packages_own_network(name):
    """In evaluation, on an image that needs no padding, nothing of ours changes the answer."""
    model = build_network(name, 64).eval()
    kinds = {"smp-unet": smp.Unet, "smp-fpn": smp.FPN, "smp-deeplabv3plus": smp.DeepLabV3Plus}
    own = kinds[name]("efficientnet-b0", encoder_weights=None).eval()
    own.load_state_dict(model.network.state_dict())
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(model(images), own(images))


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparison_trains_under_our_conditions(name):
    model = build_network(name, 64, 0.5)
    assert all(type(block._depthwise_conv) is DepthwiseConv2d for block in model.network.encoder._blocks)
    dropouts = [layer.p for layer in model.network.decoder.modules() if isinstance(layer, nn.Dropout | nn.Dropout2d)]
    assert set(dropouts) <= {0.0}
    seen = []
    model.dropout.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        model.train()(torch.randn(2, 3, 64, 64))
    assert seen[0].shape[:2] == (2, 320)  # the encoder's deepest features
    assert 0.4 < float((seen[0] == 0).all(3).all(2).float().mean()) < 0.6
