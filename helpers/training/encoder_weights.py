"""ImageNet weights for the encoder, where they can be had."""

import socket

from efficientnet_pytorch.utils import url_map
from torch.hub import load_state_dict_from_url

from helpers.errors import in_a_line
from helpers.model import EfficientNetSegmentation, set_batch_norm_momentum

PRETRAINED_MOMENTUM = 0.01  # efficientnet-pytorch's own: ImageNet's running statistics are a good start
TIMEOUT_SECONDS = 20


def load_imagenet_weights(model: EfficientNetSegmentation, url: str = url_map["efficientnet-b0"]) -> str:
    """Start the encoder from ImageNet weights; without them leave it at random and say so.

    The file, from where efficientnet-pytorch's author publishes it, is kept in torch's hub folder, and its SHA-256 is
    checked against the digits in its name.

    Args:
        model: a freshly built network with 3 input channels.
        url: of the weights.

    Returns:
        "imagenet" or "random", for the results.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)  # a network may swallow packets, and torch.hub sets no limit of its own
    try:
        weights = load_state_dict_from_url(url, map_location="cpu", progress=False, check_hash=True, weights_only=True)
        own = model.encoder.state_dict()
        for name, value in own.items():
            if name not in weights or weights[name].shape != value.shape:
                raise RuntimeError(f"the file has no fitting {name}")
    except Exception as error:  # network, disk and torch's reader fail in a dozen ways; each means the same here
        print(f"ImageNet weights cannot be had ({in_a_line(error)[:120]}): the encoder starts at random.")
        return "random"
    finally:
        socket.setdefaulttimeout(before)
    model.encoder.load_state_dict({name: weights[name] for name in own})
    set_batch_norm_momentum(model.encoder, PRETRAINED_MOMENTUM)
    return "imagenet"
