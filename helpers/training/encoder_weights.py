"""ImageNet weights for the encoder, where they can be had."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from efficientnet_pytorch.utils import url_map
from torch.hub import load_state_dict_from_url

from helpers.errors import in_a_line
from helpers.model import EfficientNetSegmentation, set_batch_norm_momentum

PRETRAINED_MOMENTUM = 0.01  # efficientnet-pytorch's own: ImageNet's running statistics are a good start
TIMEOUT_SECONDS = 20


def load_imagenet_weights(model: EfficientNetSegmentation, url: str = url_map["efficientnet-b0"]) -> str:
    """Start the encoder from ImageNet weights; without them leave it at random and say so.

    The file is kept in torch's hub folder, and its SHA-256 is checked against the digits in its name.

    Args:
        model: a freshly built network with 3 input channels.
        url: where efficientnet-pytorch's author publishes the weights.

    Returns:
        "imagenet" or "random", for the results.
    """
    try:
        with _socket_timeout(TIMEOUT_SECONDS):
            weights = load_state_dict_from_url(
                url, map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
        own = model.encoder.state_dict()
        if missing := [
            name for name, value in own.items() if name not in weights or weights[name].shape != value.shape
        ]:
            raise RuntimeError(f"the file has no fitting {missing[0]}")
    except Exception as error:  # network, disk and torch's reader fail in a dozen ways; each means the same here
        print(f"ImageNet weights cannot be had ({in_a_line(error)[:120]}): the encoder starts at random.")
        return "random"
    model.encoder.load_state_dict({name: weights[name] for name in own})
    set_batch_norm_momentum(model.encoder, PRETRAINED_MOMENTUM)
    return "imagenet"


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Let a network that swallows packets fail; torch.hub sets no time limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
