"""A trained network as one ONNX file, which runs without PyTorch on pictures of any size."""

import copy
import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from onnxscript import optimizer
from torch import Tensor, nn

from helpers.config import IMAGENET_MEAN, IMAGENET_STD
from helpers.errors import InputError
from helpers.files import written_whole
from helpers.inference.onnx_network import HASH, KEY, ONNX_SUFFIX, OnnxNetwork, hash_before
from helpers.inference.torch_weights import read_weights
from helpers.inference.trained_model import WEIGHTS, TrainedModel, find_weights, load_model
from helpers.model import EfficientNetSegmentation
from helpers.normalization import normalize
from helpers.paths import as_path

# Between the file and PyTorch in float64, of the largest logit, or of 1 where all are smaller. Of B0 with random
# weights 8e-5 were seen, and 4e-4 on noise of 256 pixels, whose logits reach 10,000. PyTorch in float32 was further off
# there, by 1e-3, so it is not what is compared with.
MOST_APART = 5e-4
# Pictures, heights and widths that are compared: what 32 divides and what it does not, long, and small.
SIZES = ((2, 128, 128), (1, 100, 75), (3, 33, 161), (1, 1, 1))


class _FromBytes(nn.Module):
    """A network that takes RGB bytes and normalises them itself."""

    def __init__(self, network: EfficientNetSegmentation) -> None:
        super().__init__()
        self.network = network
        # Not "mean": the exporter calls the output of a mean so too, and tells the two no longer apart.
        self.register_buffer("mean_of_rgb", 255 * torch.tensor(IMAGENET_MEAN)[:, None, None])
        self.register_buffer("deviation_of_rgb", 255 * torch.tensor(IMAGENET_STD)[:, None, None])

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Take `(B, H, W, 3)` uint8 to logits by name, `(B, C, H, W)`."""
        # Planes first: over rows of three numbers, ONNX Runtime takes six times as long to subtract and divide.
        images = images.permute(0, 3, 1, 2).float()
        outputs = self.network((images - self.mean_of_rgb) / self.deviation_of_rgb)
        return outputs if isinstance(outputs, dict) else {"nuclei": outputs}


def export_onnx(weights: Path | None, out: Path) -> float:
    """Write a network as one ONNX file, and compare it with PyTorch.

    Its input `images` is `(batch, height, width, 3)` uint8, RGB, of any batch, height and width; its outputs are the
    network's, logits by name, `(batch, C, height, width)` float32. The description in its metadata is that of the
    weights. Weights are kept as float16 wherever that loses nothing, so the file holds the very numbers of the
    safetensors; ONNX Runtime makes float32 of them as it loads. It takes half a minute.

    Args:
        weights: as for `load_model`, `.safetensors`; None for the shipped ones.
        out: the file to write, `.onnx`.

    Returns:
        how far the file's logits are from PyTorch's, as `compare` gives it.

    Raises:
        InputError: the weights cannot be read, `out` has another ending, or the file would tell something else than
            PyTorch does; then none is written.
    """
    weights, out = WEIGHTS if weights is None else as_path(weights), as_onnx_path(out)
    weights = find_weights(weights) or weights
    if weights.suffix == ONNX_SUFFIX:
        raise InputError(f"{weights}: expected a .safetensors file to export, found one that is exported already")
    model = load_model(weights)
    about = json.loads(read_weights(weights)[0])
    content = describe(_to_onnx(model.network), about)
    apart = compare(model, content)
    if not apart <= MOST_APART:
        raise InputError(
            f"{weights}: the exported network's logits are up to {apart:.2g} of the largest from PyTorch's, expected "
            f"{MOST_APART:g} at most; nothing was written: try other releases of torch, onnxscript and onnxruntime"
        )
    with written_whole(out) as temporary:
        temporary.write_bytes(content)
    return apart


def as_onnx_path(given: Path | str) -> Path:
    """Give a path as `as_path` does; an InputError where the name has another ending than `load_model` knows."""
    path = as_path(given)
    if path.suffix != ONNX_SUFFIX:
        raise InputError(f"{path}: expected a name that ends in {ONNX_SUFFIX}")
    return path


def compare(model: TrainedModel, content: bytes) -> float:
    """Give how far an exported network's logits are from PyTorch's in float64 at most, over pictures of several sizes.

    It is a share of the largest logit of its picture, or of 1 where all are smaller.
    """
    network, random, apart = OnnxNetwork(content), np.random.default_rng(0), []
    network.describe({"name": model.network.name, "img_size": 0, "in_channels": 3})
    exact = copy.deepcopy(model.network).double()
    for count, height, width in SIZES:
        noise = random.integers(0, 256, (count, height, width, 3), np.uint8)
        smooth = np.stack([cv2.GaussianBlur(one, (0, 0), 4).reshape(one.shape) for one in noise])
        for images in (noise, np.clip(4.0 * smooth - 384, 0, 255).astype(np.uint8)):
            with torch.inference_mode():
                expected = exact(normalize(images).double())
            expected = expected if isinstance(expected, dict) else {"nuclei": expected}
            found = network.run(images)
            if {name: maps.shape for name, maps in found.items()} != {n: tuple(e.shape) for n, e in expected.items()}:
                return float("inf")
            for name, maps in expected.items():
                apart.append(np.abs(found[name] - maps.numpy()).max() / max(1, maps.abs().max()))
    return float(np.max(apart))  # NaN if one is


def _to_onnx(network: EfficientNetSegmentation) -> onnx.ModelProto:
    """Let PyTorch write the graph, without what differs from run to run, and with small weights."""
    names = getattr(network, "outputs", ("nuclei",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its parts deprecate among themselves
        program = torch.onnx.export(
            _FromBytes(network).eval(),
            (torch.zeros(2, 128, 160, 3, dtype=torch.uint8),),
            dynamo=True,
            dynamic_shapes=(dict.fromkeys(range(3), torch.export.Dim.DYNAMIC),),
            input_names=["images"],
            output_names=list(names),
            optimize=False,  # it would multiply batch norms into the weights, which then are no float16 any more
            verbose=False,
        )
    graph_of = program.model_proto
    # Or constants are left that ONNX Runtime does not fold, and no convolution is joined with its batch norm.
    optimizer.fold_constants(graph_of, onnx_shape_inference=False)
    optimizer.remove_unused_nodes(graph_of)
    graph = graph_of.graph
    for value, name in zip([*graph.input, *graph.output], ("images", *names), strict=True):
        shape = value.type.tensor_type.shape.dim
        axes = ("batch", "height", "width", None) if name == "images" else ("batch", None, "height", "width")
        for dimension, axis in zip(shape, axes, strict=True):
            if axis:
                dimension.dim_param = axis
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        half = values.astype(np.float16) if values.dtype == np.float32 and values.ndim else None
        if half is not None and np.array_equal(half.astype(np.float32), values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    # Traces of the calls, with the paths of whoever exports.
    for part in (graph_of, graph, *nodes, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(graph_of, full_check=True)
    return graph_of


def describe(network: onnx.ModelProto, about: dict) -> bytes:
    """Put a description at the end of a file, with the hash of all that stands before it."""
    about = about | {HASH: "0" * 64}
    for _ in range(2):  # the hash is as long as what stands in for it, so what stands before stays
        text = json.dumps(about)
        del network.metadata_props[:]
        network.metadata_props.add(key=KEY, value=text)
        content = network.SerializeToString(deterministic=True)
        about[HASH] = hash_before(content, text)
    return content
