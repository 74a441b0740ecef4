"""Weights in safetensors format, as a network of PyTorch's: what can be trained, and looked into by gradients."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers.errors import InputError
from helpers.inference.onnx_network import KEY
from helpers.model import EfficientNetSegmentation
from helpers.networks import build_own_network


@torch.inference_mode(False)  # a caller's own would leave weights that no gradient can pass
def read_weights(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Read the description, as JSON, and the tensors of a file that `export_weights` wrote.

    Raises:
        InputError: it is another kind of file, or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: expected whole weights in safetensors format, it cannot be read: {error}") from None
    return metadata.get(KEY, "{}"), tensors


@torch.inference_mode(False)
def build_network(
    path: Path, architecture: Mapping[str, object], tensors: dict[str, Tensor], digest: str
) -> EfficientNetSegmentation:
    """Build the network that weights were read for, in evaluation mode and float32.

    Raises:
        InputError: the weights are not those that `digest` was made of, or of another network.
    """
    if (found := digest_tensors(tensors)) != digest:
        raise InputError(
            f"{path}: the weights have changed: digest {found[:12]}, expected {digest[:12]}; fetch it again"
        )
    try:
        network = build_own_network(**architecture)
        network.load_state_dict(tensors)  # copies into float32
    except (InputError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{path}: the weights are those of another network: {reason}") from None
    return network.eval()


def digest_tensors(tensors: dict[str, Tensor]) -> str:
    """Give the SHA-256 over names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
