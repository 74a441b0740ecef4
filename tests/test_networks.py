"""Our own networks by name; what they share with other people's, `training.test_comparisons` tells."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from helpers.config import OUTPUTS
from helpers.errors import InputError
from helpers.model import EfficientNetSegmentation, count_parameters
from helpers.networks import OWN_NETWORKS, NucleiNetwork, build_own_network

KINDS = ("a", "b", "c", "d", "e")


@pytest.mark.parametrize("name", OWN_NETWORKS)
def test_a_network_knows_its_name_and_what_it_was_built_with(name):
    network = build_own_network(name, img_size=64, num_classes=4, dropout=0.3)
    assert (network.name, network.img_size, network.num_classes, network.dropout.p) == (name, 64, 4, 0.3)


def test_other_peoples_networks_are_refused():
    with pytest.raises(InputError, match=r"network 'smp-unet': expected one of unet, unet-stem1, .*"):
        build_own_network("smp-unet")


@pytest.mark.parametrize("name", OWN_NETWORKS)
@pytest.mark.parametrize("size", [(100, 70), (64, 32), (1, 33)])
def test_every_output_has_the_size_of_the_image(name, size):
    network = build_own_network(name, OUTPUTS, KINDS[:3], img_size=64).eval()
    assert isinstance(network, NucleiNetwork)
    assert (network.name, network.outputs, network.kinds) == (name, OUTPUTS, KINDS[:3])
    with torch.inference_mode():
        found = network(torch.randn(2, 3, *size))
    assert {key: tuple(values.shape) for key, values in found.items()} == {
        "nuclei": (2, 1, *size),
        "kinds": (2, 3, *size),
        "interior": (2, 1, *size),
    }


@pytest.mark.parametrize("name", OWN_NETWORKS)
def test_for_nuclei_alone_it_is_the_plain_network(name):
    network = build_own_network(name, img_size=64).eval()
    assert type(network) is EfficientNetSegmentation
    with torch.inference_mode():
        assert network(torch.randn(2, 3, 40, 72)).shape == (2, 1, 40, 72)


@pytest.mark.parametrize("outputs", [("nuclei", "interior"), ("nuclei", "kinds")])
def test_only_what_is_asked_for_is_told(outputs):
    network = build_own_network("lite0", outputs, KINDS).eval()
    with torch.inference_mode():
        assert set(network(torch.zeros(1, 3, 32, 32))) == set(outputs)


def test_nuclei_are_those_of_the_plain_network():
    torch.manual_seed(0)
    network = build_own_network("lite0-detail", OUTPUTS, KINDS).eval()
    plain = build_own_network("lite0-detail").eval()
    shared = {key: value for key, value in network.state_dict().items() if not key.startswith("heads.")}
    plain.load_state_dict(shared)
    images = torch.randn(1, 3, 50, 64)
    with torch.inference_mode():
        assert torch.equal(network(images)["nuclei"], plain(images))


def test_the_small_network_is_small():
    network = build_own_network("lite0-detail", OUTPUTS, KINDS, img_size=256).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 256, 256))
    assert 3_500_000 < count_parameters(network) <= 5_000_000
    assert 1.5e9 < counter.get_total_flops() / 2 <= 1.8e9  # multiply-adds


def test_every_parameter_is_learnt_in_every_output():
    torch.manual_seed(0)
    network = build_own_network("lite0-detail", OUTPUTS, KINDS, img_size=64)
    sum(values.square().mean() for values in network(torch.randn(2, 3, 64, 64)).values()).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()] == []


def test_detail_is_of_the_image_itself():
    # One pixel moves the features of full size next to it, which no feature of half the size can.
    torch.manual_seed(0)
    network = build_own_network("lite0-detail").eval()
    images = torch.zeros(1, 3, 32, 32)
    images[..., 16, 16] = 1
    with torch.inference_mode():
        assert network.detail(images).shape == (1, 8, 32, 32)
        changed = (network.detail(images) != network.detail(torch.zeros_like(images))).any(1)[0]
    assert torch.argwhere(changed).min(0).values.tolist() == [15, 15]
    assert torch.argwhere(changed).max(0).values.tolist() == [17, 17]
