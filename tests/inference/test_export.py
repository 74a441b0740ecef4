"""A network as one ONNX file: what PyTorch tells, it tells, at any size; and what cannot be exported is refused."""

import json
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from nightly import NIGHTLY
from tiny_run import make_network
from torch import Tensor, nn

from helpers.errors import InputError
from helpers.inference import export
from helpers.inference.export import MOST_APART, compare, describe, export_onnx
from helpers.inference.onnx_network import KEY
from helpers.inference.trained_model import WEIGHTS, TrainedModel, load_model
from helpers.model import pad_to_stride
from helpers.training.checkpoints import export_weights, save_checkpoint

SHIPPED = WEIGHTS.with_suffix(".onnx")


class Tiny(nn.Module):
    """What is hard to export, and no more: padding by the size, a batch norm, a mean over the picture, a crop."""

    outputs = ("nuclei", "interior")
    name = "tiny"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.last, self.other = nn.Conv2d(8, 1, 1), nn.Conv2d(8, 1, 1)
        self.norm.running_mean.uniform_(-1, 1)
        for parameter in self.parameters():
            parameter.data = parameter.data.half().float()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.norm(self.first(pad_to_stride(images, 3))).relu()
        features = features * features.mean((2, 3), keepdim=True).sigmoid()
        large = nn.functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        results = {"nuclei": self.last(large), "interior": self.other(large)}
        return {name: maps[..., : images.shape[2], : images.shape[3]] for name, maps in results.items()}


@pytest.fixture(scope="module")
def tiny():
    """A tiny network, and its file."""
    network = Tiny().eval()
    return network, describe(export._to_onnx(network), {})


def test_what_is_hard_to_export_is_right_at_any_size(tiny):
    network, content = tiny
    assert compare(TrainedModel(network, 1.0), content) < 1e-5


def test_weights_are_kept_as_float16_and_statistics_whole(tiny):
    network, content = tiny
    tensors = onnx.load_from_string(content).graph.initializer
    kept = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in tensors}
    for name, value in network.named_parameters():
        assert kept[f"network.{name}.half"].dtype == np.float16
        np.testing.assert_array_equal(kept[f"network.{name}.half"], value.detach().numpy())
    np.testing.assert_array_equal(kept["network.norm.running_mean"], network.norm.running_mean.numpy())


def test_onnx_runtime_joins_convolutions_with_batch_norms(tiny, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fast.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    for content in (tiny[1], SHIPPED.read_bytes()):
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        kinds = [node.op_type for node in onnx.load(tmp_path / "fast.onnx").graph.node]
        assert "Conv" in kinds
        assert "BatchNormalization" not in kinds
        assert kinds.count("Cast") == kinds.count("Pad") == 1  # of the bytes, and of the picture


@pytest.mark.skipif(not NIGHTLY, reason="the report's own network takes a minute: in the nightly tests")
def test_the_reports_network_tells_the_same(tmp_path):
    save_checkpoint(tmp_path / "best.pth", make_network(64), um_per_px=0.5, training_tiles=["a"])
    export_weights(tmp_path / "best.pth", tmp_path / "weights.safetensors", temperature=1.5)
    assert export_onnx(tmp_path / "weights.safetensors", tmp_path / "network.onnx") < MOST_APART
    found, expected = load_model(tmp_path / "network.onnx"), load_model(tmp_path / "weights.safetensors")
    assert (found.um_per_px, found.temperature, found.digest) == (0.5, 1.5, expected.digest)
    assert found.seen == expected.seen
    assert (found.network.name, found.network.img_size, found.network.kinds) == ("unet", 64, ())


def test_names_of_inputs_outputs_and_axes():
    graph = onnx.load(SHIPPED).graph
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "images": ["batch", "height", "width", 3],
        "nuclei": ["batch", 1, "height", "width"],
        "interior": ["batch", 1, "height", "width"],
        "kinds": ["batch", 4, "height", "width"],
    }
    types = [value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)]
    assert types == [onnx.TensorProto.UINT8] + 3 * [onnx.TensorProto.FLOAT]


def test_nothing_of_whoever_exports_is_inside(tiny):
    for content in (tiny[1], SHIPPED.read_bytes()):
        assert not re.search(rb"site-packages|\.py\b|stack_trace|pkg\.torch", content)


def test_a_file_that_tells_something_else_is_not_written(monkeypatch, tmp_path):
    wrong = onnx.load(SHIPPED)
    bias = next(tensor for tensor in wrong.graph.initializer if tensor.name.startswith("network.head.bias"))
    values = onnx.numpy_helper.to_array(bias) + np.float16(0.5)
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    monkeypatch.setattr(export, "_to_onnx", lambda network: wrong)
    with pytest.raises(InputError, match=r"logits are up to 0\.\d+ of the largest from PyTorch's, expected 0.0005"):
        export_onnx(None, tmp_path / "wrong.onnx")
    assert list(tmp_path.iterdir()) == []


def test_logits_that_are_no_numbers_are_told(tiny):
    network = Tiny().eval()
    network.other.bias.data[:] = np.nan  # of the second output: the first is right
    assert np.isnan(compare(TrainedModel(network, 1.0), tiny[1]))


def test_shipped_file_is_near_pytorch():
    assert compare(load_model(), SHIPPED.read_bytes()) < 1e-4


def test_description_is_last_and_its_hash_fits():
    network = onnx.load(SHIPPED)
    about = json.loads(network.metadata_props[0].value)
    assert describe(network, about) == SHIPPED.read_bytes()
    assert [entry.key for entry in network.metadata_props] == [KEY]


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"network\.pt: expected a name that ends in \.onnx"):
        export_onnx(None, tmp_path / "network.pt")
    with pytest.raises(InputError, match=r"expected a \.safetensors file to export, found one that is exported"):
        export_onnx(SHIPPED, tmp_path / "again.onnx")
    with pytest.raises(InputError, match="there are no such weights"):
        export_onnx(tmp_path / "none.safetensors", tmp_path / "network.onnx")
