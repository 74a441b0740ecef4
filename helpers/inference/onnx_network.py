"""A network out of one ONNX file, run by ONNX Runtime on the CPU: no PyTorch is needed, nor imported."""

import hashlib
import importlib
import json
import math
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from helpers.errors import InputError, in_a_line

ONNX_SUFFIX = ".onnx"
KEY = "nuclei"  # of the description among a file's metadata
HASH = "file_sha256"  # of all bytes that stand before the description, which is the last thing in the file
# At once, four tiles of 256: with fewer, two threads wait for each other; more no longer fit the processor's caches.
PIXELS = 2**18


class OnnxNetwork:
    """A network that ONNX Runtime runs; several threads may share it, and it can be pickled.

    Args:
        content: of a file that `export.export_onnx` wrote.
        threads: that divide one pass among them; None for all cores that this process may use.

    Attributes:
        text: the file's description as JSON; "{}" where it holds none.
        name, img_size, in_channels, outputs, kinds: as of `networks.NucleiNetwork`, once `describe` has set them.
    """

    def __init__(self, content: bytes, threads: int | None = None) -> None:
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        # Threads that wait asleep: beside other work on two cores, spinning ones took 2.5 times as long for a tile.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False  # it sets aside for each pass what the arena holds already
        options.log_severity_level = 3  # what is damaged is said by the error
        self._content, self._threads = content, threads
        self._one_at_a_time = threading.Lock()  # each pass at once takes memory of its own; all cores work on one
        self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.text = self._session.get_modelmeta().custom_metadata_map.get(KEY, "{}")

    def describe(self, architecture: Mapping[str, object]) -> "OnnxNetwork":
        """Remember what `networks.build_own_network` would build it by, and give itself."""
        self.name, self.img_size = str(architecture["name"]), int(architecture["img_size"])
        self.in_channels = int(architecture["in_channels"])
        self.outputs = tuple(output.name for output in self._session.get_outputs())
        self.kinds = tuple(architecture.get("kinds", ()))
        self._architecture = dict(architecture)
        return self

    def run(self, images: np.ndarray, batch_size: int | None = None) -> dict[str, np.ndarray]:
        """Predict all that the network tells of every pixel of pictures that have its scale.

        Args:
            images: `(N, H, W, 3)` uint8, RGB; any height and width.
            batch_size: pictures at once; None for what fits `PIXELS`, one at least.

        Returns:
            logits by name, `(N, C, H, W)` float32: `nuclei` (C = 1), and what else the network tells.
        """
        batch_size = batch_size or max(1, PIXELS // math.prod(images.shape[1:3]))
        maps: dict[str, np.ndarray] = {}
        for start in range(0, len(images), batch_size):
            batch = np.ascontiguousarray(images[start : start + batch_size])
            with self._one_at_a_time:
                part = self._session.run(None, {"images": batch})
            for name, values in zip(self.outputs, part, strict=True):  # (B, C, H, W)
                if name not in maps:
                    maps[name] = np.empty((len(images), *values.shape[1:]), values.dtype)
                maps[name][start : start + batch_size] = values
        return maps

    def __reduce__(self) -> tuple:
        return _restore, (self._content, self._threads, self._architecture)


def _restore(content: bytes, threads: int | None, architecture: Mapping[str, object]) -> OnnxNetwork:
    return OnnxNetwork(content, threads).describe(architecture)


def usable_cores() -> int:
    """Count the cores that this process may use: where it is confined to some, ONNX Runtime would count all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_onnx(path: Path, threads: int | None = None) -> OnnxNetwork:
    """Open a file that `export.export_onnx` wrote; `describe` it before it runs.

    Raises:
        InputError: it is another kind of file, or damaged.
    """
    content = path.read_bytes()
    try:
        network = OnnxNetwork(content, threads)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # its errors have no class in common but this one
        raise InputError(f"{path}: expected a whole ONNX file, it cannot be read: {in_a_line(error)}") from None
    try:
        expected = json.loads(network.text).get(HASH)
    except (AttributeError, ValueError):
        return network  # who reads the description says what is wrong with it
    if expected and hash_before(content, network.text) != expected:
        raise InputError(f"{path}: the file has changed since it was exported; fetch it or export it again")
    return network


def hash_before(content: bytes, text: str) -> str:
    """Give the SHA-256 over what stands in a file before its description."""
    return hashlib.sha256(content[: content.rfind(text.encode())]).hexdigest()
