"""A network in integers of 8 bits: near the one in float32, at any size, with the same description."""

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from helpers.errors import InputError
from helpers.inference.export import describe
from helpers.inference.integers import to_integers
from helpers.inference.onnx_network import HASH, KEY, OnnxNetwork

GRAPH = """
<ir_version: 10, opset_import: ["": 20]>
tiny (uint8[batch, height, width, 3] images) => (float[batch, 1, height, width] nuclei) {
    bytes = Cast<to = 1>(images)
    planes = Transpose<perm = [0, 3, 1, 2]>(bytes)
    first = Conv<pads = [1, 1, 1, 1]>(planes, stem)
    early = Conv(first, one)
    late = Conv<pads = [1, 1, 1, 1]>(early, two)
    active = Relu(late)
    nuclei = Conv(active, head)
}
"""
NAMES = {"one": "encoder._blocks.1.weight", "two": "encoder._blocks.2.weight"}  # its language knows no dots
SHAPES = {
    "stem": (8, 3, 3, 3),
    "encoder._blocks.1.weight": (8, 8, 1, 1),
    "encoder._blocks.2.weight": (8, 8, 3, 3),
    "head": (1, 8, 1, 1),
}


@pytest.fixture(scope="module")
def tiny():
    """A tiny network's file in float32, the same in integers, and the pictures that gave the ranges."""
    random = np.random.default_rng(0)
    network = parser.parse_model(GRAPH)
    for node in network.graph.node:
        node.name = f"node_{node.output[0]}"
        node.input[:] = [NAMES.get(name, name) for name in node.input]
    for name, shape in SHAPES.items():
        weights = random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        network.graph.initializer.append(numpy_helper.from_array(weights, name))
    content = describe(network, {"note": "a tiny one"})
    tiles = random.integers(0, 256, (4, 64, 64, 3), np.uint8)
    return content, to_integers(content, tiles), tiles


def test_it_tells_nearly_the_same_at_any_size(tiny):
    describing = {"name": "tiny", "img_size": 0, "in_channels": 3}
    whole, integers = (OnnxNetwork(content).describe(describing) for content in tiny[:2])
    spread = whole.run(tiny[2])["nuclei"].std()
    for tiles in (tiny[2], tiny[2][:1, :33, :61], tiny[2][:3, :1, :1]):
        expected, found = whole.run(tiles)["nuclei"], integers.run(tiles)["nuclei"]
        assert found.shape == expected.shape
        # In the mean: without VNNI, sums of two products are cut to 16 bits, and single ones are far off.
        assert 0 < np.abs(found - expected).mean() < 0.03 * spread


def test_only_what_lies_between_the_first_blocks_and_the_logits_is_in_integers(tiny):
    types = [part.data_type for part in onnx.load_from_string(tiny[1]).graph.initializer if len(part.dims) == 4]
    assert sorted(types) == [onnx.TensorProto.FLOAT] * 3 + [onnx.TensorProto.INT8]


def test_the_description_stays(tiny):
    before, after = (onnx.load_from_string(content).metadata_props for content in tiny[:2])
    assert [entry.key for entry in after] == [KEY]
    before, after = json.loads(before[0].value), json.loads(after[0].value)
    assert before["note"] == after["note"] == "a tiny one"
    assert before[HASH] != after[HASH]


def test_no_tiles_are_refused(tiny):
    with pytest.raises(InputError, match="expected tiles to take the ranges of the features from, found none"):
        to_integers(tiny[0], tiny[2][:0])
