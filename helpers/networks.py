"""Our own networks, by the names that recipes and weights know them by: the report's, and changes of it."""

import torch

from helpers.errors import InputError
from helpers.model import EfficientNetSegmentation

# What each changes of `EfficientNetSegmentation`.
OWN_NETWORKS = {
    "unet": {},
    "unet-stem1": {"stem_stride": 1},  # the scales of the report's table
    "unet-wide": {"decoder_channels": (256, 128, 64, 32, 16)},  # as segmentation-models-pytorch has them
    "unet-narrow": {"decoder_channels": (96, 56, 24, 16, 16)},  # about half the report's
}


@torch.inference_mode(False)  # a caller's own would leave weights that no gradient can pass
def build_own_network(name: str = "unet", **remembered: float) -> EfficientNetSegmentation:
    """Build one of our own networks, at random start.

    Args:
        name: a key of `OWN_NETWORKS`.
        remembered: `img_size`, `in_channels`, `num_classes` and `dropout` of `EfficientNetSegmentation`.

    Raises:
        InputError: a name that is not known.
    """
    if name not in OWN_NETWORKS:
        raise InputError(f"network {name!r}: expected one of {', '.join(OWN_NETWORKS)}")
    model = EfficientNetSegmentation(**remembered, **OWN_NETWORKS[name])
    model.name = name
    return model
