"""Weights in safetensors: only those that the description was made of, of the network that it names."""

from pathlib import Path

import pytest
import torch
from tiny_run import make_network

from helpers.errors import InputError
from helpers.inference.torch_weights import build_network, digest_tensors, read_weights
from helpers.inference.trained_model import WEIGHTS

PATH = Path("weights.safetensors")
ARCHITECTURE = {"name": "unet", "img_size": 64}


def test_network_of_weights_is_the_network():
    tensors = make_network(64).state_dict()
    network = build_network(PATH, ARCHITECTURE, tensors, digest_tensors(tensors))
    assert not network.training
    assert digest_tensors(network.state_dict()) == digest_tensors(tensors)


def test_other_weights_are_refused():
    tensors = make_network(64).state_dict()
    with pytest.raises(InputError, match=r"weights\.safetensors: the weights have changed: digest"):
        build_network(PATH, ARCHITECTURE, tensors, "0" * 64)
    with pytest.raises(InputError, match="the weights are those of another network: .*in_channels|size mismatch"):
        build_network(PATH, ARCHITECTURE | {"in_channels": 1}, tensors, digest_tensors(tensors))


def test_digest_is_of_names_types_shapes_and_values():
    tensor = torch.arange(6, dtype=torch.float32)
    digests = {
        digest_tensors(tensors)
        for tensors in ({"a": tensor}, {"b": tensor}, {"a": tensor.view(2, 3)}, {"a": tensor.half()}, {"a": tensor + 1})
    }
    assert len(digests) == 5


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "text.safetensors").write_text("no weights", encoding="utf-8")
    with pytest.raises(InputError, match=r"text\.safetensors: expected whole weights in safetensors format"):
        read_weights(tmp_path / "text.safetensors")
    text, tensors = read_weights(WEIGHTS)
    assert text.startswith("{")
    assert tensors["head.weight"].dtype == torch.float16
