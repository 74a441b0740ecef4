"""Our own networks by name; what they share with other people's, `training.test_comparisons` tells."""

import pytest

from helpers.errors import InputError
from helpers.networks import OWN_NETWORKS, build_own_network


@pytest.mark.parametrize("name", OWN_NETWORKS)
def test_a_network_knows_its_name_and_what_it_was_built_with(name):
    network = build_own_network(name, img_size=64, num_classes=4, dropout=0.3)
    assert (network.name, network.img_size, network.num_classes, network.dropout.p) == (name, 64, 4, 0.3)


def test_other_peoples_networks_are_refused():
    with pytest.raises(InputError, match=r"network 'smp-unet': expected one of unet, unet-stem1, .*"):
        build_own_network("smp-unet")
