"""A network's ONNX file in integers of 8 bits: half as large, and a third faster on a CPU."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime import quantization

from helpers.errors import InputError
from helpers.files import written_whole
from helpers.inference.export import as_onnx_path, describe, export_onnx
from helpers.inference.onnx_network import KEY

# In float32 stay the first two blocks of the encoder: as integers they cost up to 0.004 of Dice, and save a twentieth.
IN_FLOAT = ("._blocks.0.", "._blocks.1.")
KINDS = ("Conv", "Add", "Concat", "Resize", "Clip", "Relu")


class _Tiles(quantization.CalibrationDataReader):
    def __init__(self, tiles: np.ndarray) -> None:
        self._tiles: Iterator[np.ndarray] = iter(tiles)

    def get_next(self) -> dict[str, np.ndarray] | None:
        tile = next(self._tiles, None)
        return None if tile is None else {"images": tile[None]}


def export_integers(weights: Path | None, out: Path, tiles: np.ndarray) -> None:
    """Write a network as one ONNX file in integers: as `export_onnx` writes it, then `to_integers`.

    Args:
        weights: as for `export_onnx`.
        out: the file to write, `.onnx`.
        tiles: as for `to_integers`.

    Raises:
        InputError: as of both; then nothing is written.
    """
    out = as_onnx_path(out)
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(weights, Path(folder, "float.onnx"))
        content = to_integers(Path(folder, "float.onnx").read_bytes(), tiles)
    with written_whole(out) as temporary:
        temporary.write_bytes(content)


def to_integers(content: bytes, tiles: np.ndarray) -> bytes:
    """Turn an exported network's convolutions into integers: weights of 8 bits a channel, features of 8 bits a layer.

    What takes the picture, what gives the logits and `IN_FLOAT` stay in float32.

    Args:
        content: of a file that `export.export_onnx` wrote.
        tiles: `(N, H, W, 3)` uint8, RGB, at the network's scale, of the training part: the ranges of all features are
            those of these tiles; 64 will do.

    Returns:
        the content of the new file, described as the old one is, but for its digest: what it finds is kept apart from
        what the weights find. Their digest stands beside it, as `weights_sha256`.

    Raises:
        InputError: no tiles.
    """
    if not len(tiles):
        raise InputError("expected tiles to take the ranges of the features from, found none; give 64 of training")
    with tempfile.TemporaryDirectory() as folder:
        joined, written = Path(folder, "joined.onnx"), Path(folder, "integers.onnx")
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(joined)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        network = onnx.load(joined)
        network.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")  # or it warns that none was
        onnx.save(network, joined)
        quantization.quantize_static(
            joined,
            written,
            _Tiles(tiles),
            op_types_to_quantize=list(KINDS),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=_in_float(onnx.load_from_string(content).graph, network.graph),
        )
        network = onnx.load(written)
    about = next(entry.value for entry in onnx.load_from_string(content).metadata_props if entry.key == KEY)
    del network.metadata_props[:]
    digest = hashlib.sha256(network.SerializeToString(deterministic=True)).hexdigest()
    about = json.loads(about)
    return describe(network, about | {"sha256": digest, "weights_sha256": about["sha256"]})


def _in_float(graph: onnx.GraphProto, joined: onnx.GraphProto) -> list[str]:
    """Name the nodes of `joined` that stay in float32: by their weights, whose names only `graph` has kept."""
    early = {node.name for node in graph.node if any(part in name for part in IN_FLOAT for name in node.input)}
    shapes = {tensor.name: numpy_helper.to_array(tensor).shape for tensor in joined.initializer}
    names = [node.name for node in joined.node]
    last = max((index for index, name in enumerate(names) if name in early), default=-1)
    ends = [
        node.name
        for node in joined.node
        if node.op_type == "Conv" and (shapes[node.input[1]][1] == 3 or shapes[node.input[1]][0] <= 4)
    ]
    return [*names[: last + 1], *ends]
