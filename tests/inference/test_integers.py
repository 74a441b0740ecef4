"""A network in integers of 8 bits: near the one in float32, at any size, with the same description."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from helpers.data.prepare import prepare
from helpers.errors import InputError
from helpers.evaluation.subject import choose_tiles, open_subject
from helpers.inference import integers, trained_model
from helpers.inference.export import describe
from helpers.inference.instances import part_nuclei
from helpers.inference.integers import export_integers, to_integers
from helpers.inference.onnx_network import HASH, KEY, OnnxNetwork
from helpers.inference.trained_model import INT8, ONNX, load_model
from helpers.instance_metrics import score_image
from helpers.metrics import count_pixels, scores
from helpers.sample_tissue.sample import sample_field

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
    content = describe(network, {"note": "a tiny one", "sha256": "of the weights"})
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
    assert after["weights_sha256"] == before["sha256"] == "of the weights"


def test_the_digest_is_its_own_and_follows_the_tiles(tiny, caplog):
    again, other = to_integers(tiny[0], tiny[2]), to_integers(tiny[0], tiny[2] // 2)
    digests = [json.loads(OnnxNetwork(content).text)["sha256"] for content in (tiny[1], other)]
    assert again == tiny[1]
    assert digests[0] != digests[1]
    assert caplog.text == ""  # what ONNX Runtime would advise is none of a user's business
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_no_tiles_are_refused(tiny):
    with pytest.raises(InputError, match="expected tiles to take the ranges of the features from, found none"):
        to_integers(tiny[0], tiny[2][:0])


def test_it_is_written_of_what_is_exported(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(integers, "export_onnx", lambda weights, out: out.write_bytes(tiny[0]))
    export_integers(None, tmp_path / "network.onnx", tiny[2])
    assert (tmp_path / "network.onnx").read_bytes() == tiny[1]
    with pytest.raises(InputError, match="found none"):
        export_integers(None, tmp_path / "other.onnx", tiny[2][:0])
    with pytest.raises(InputError, match=r"network\.pt: expected a name that ends in \.onnx"):
        export_integers(None, tmp_path / "network.pt", tiny[2])
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]


# The shipped file.


@pytest.fixture(scope="module")
def shipped():
    """The shipped network in float32 and in integers."""
    return load_model(ONNX), load_model(Path("int8"))  # as `--model` gives it


def test_the_shipped_file_is_of_the_shipped_weights(shipped):
    whole, eight = shipped
    assert json.loads(eight.network.text)["weights_sha256"] == load_model().digest == whole.digest
    assert eight.digest != whole.digest  # or finished results of the one would pass for the other's
    for name in ("um_per_px", "threshold_logit", "temperature", "attention", "seen"):
        assert getattr(eight, name) == getattr(whole, name), name
    for name in ("name", "img_size", "in_channels", "outputs", "kinds"):
        assert getattr(eight.network, name) == getattr(whole.network, name), name


def test_the_shipped_file_holds_integers_and_nothing_of_whoever_made_it():
    content = INT8.read_bytes()
    assert len(content) < 0.6 * ONNX.stat().st_size
    types = [part.data_type for part in onnx.load_from_string(content).graph.initializer if len(part.dims) == 4]
    assert types.count(onnx.TensorProto.INT8) > 0.8 * len(types)
    assert not re.search(rb"site-packages|\.py\b|stack_trace|/tmp|/home|\\Users", content)


def test_the_shipped_file_finds_what_the_other_finds_on_sample_tissue(shipped):
    image = sample_field(3)[0][None, :256, :256]
    masks = [model.run(image)["nuclei"] >= model.threshold_logit for model in shipped]
    assert masks[0].any()
    assert scores(count_pixels(masks[1][0], masks[0][0]))["dice"] > 0.97


def test_on_real_tissue_it_reaches_what_float32_reaches(shipped, real_dataset):
    cache = prepare(real_dataset, 256, "majority", progress=False)
    _, indices = choose_tiles(open_subject(), cache)
    indices = indices[cache.annotated[indices, 1]]
    indices = indices[np.linspace(0, len(indices) - 1, 24).astype(int)]
    found = []
    for model in shipped:
        maps = model.run(cache.images[indices])
        masks = maps["nuclei"][:, 0] >= model.threshold_logit
        nuclei = map(partial(part_nuclei, um_per_px=model.um_per_px), masks, maps["interior"][:, 0])
        quality = [score_image(*pair).pq for pair in zip(nuclei, cache.instances[indices], strict=True)]
        found.append((scores(count_pixels(masks, cache.class_maps[indices] > 0))["dice"], np.nanmean(quality)))
    (dice, quality), (other_dice, other_quality) = found
    assert dice > 0.75
    assert abs(dice - other_dice) < 0.005
    assert abs(quality - other_quality) < 0.01


def test_a_missing_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(trained_model.NAMED, "int8", tmp_path / "nuclei_lite0_int8.onnx")
    with pytest.raises(InputError, match=r"nuclei_lite0_int8\.onnx: there are no such weights; give the path"):
        load_model("int8")
