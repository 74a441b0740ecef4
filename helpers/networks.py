"""Our own networks, by the names that recipes and weights know them by: the report's, and changes of it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.errors import InputError
from helpers.model import EfficientNetSegmentation

HEAD_CHANNELS = 32  # of the layer before kinds and interiors
# Half the multiply-adds of the report's network.
LITE0 = {"encoder": "efficientnet-lite0", "decoder_channels": (112, 64, 32, 24, 16)}
# What each changes of `EfficientNetSegmentation`.
OWN_NETWORKS = {
    "unet": {},
    "unet-stem1": {"stem_stride": 1},  # the scales of the report's table
    "unet-wide": {"decoder_channels": (256, 128, 64, 32, 16)},  # as segmentation-models-pytorch has them
    "unet-narrow": {"decoder_channels": (96, 56, 24, 16, 16)},  # about half the report's
    "lite0": LITE0,
    "lite0-detail": LITE0 | {"detail_channels": 8},  # and a layer at full size for outlines
}


class NucleiNetwork(EfficientNetSegmentation):
    """A U-Net that also tells kinds and parts nuclei that touch, over one encoder and one decoder.

    Each output is read where its detail lies: nuclei at full size, their interiors at half, and kinds, which are the
    same all over a nucleus, at a quarter. It takes `EfficientNetSegmentation`'s arguments beside its own.

    Args:
        outputs: of `config.OUTPUTS`, beginning with "nuclei".
        kinds: names of the kinds of nuclei, in the order of their maps.
    """

    name = "lite0"

    def __init__(self, *arguments: int, outputs: Sequence[str], kinds: Sequence[str] = (), **more: object) -> None:
        super().__init__(*arguments, **more)
        self.outputs, self.kinds = tuple(outputs), tuple(kinds)
        _, _, quarter, half, _ = (block.convolutions[-2].num_features for block in self.decoder)
        self.heads = nn.ModuleDict()
        for name in self.outputs[1:]:
            inner, channels = (quarter, len(self.kinds)) if name == "kinds" else (half, 1)
            self.heads[name] = nn.Sequential(
                nn.Conv2d(inner, HEAD_CHANNELS, 3, padding=1, bias=False),
                nn.BatchNorm2d(HEAD_CHANNELS),
                nn.ReLU(inplace=True),
                nn.Conv2d(HEAD_CHANNELS, channels, 1),
            )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Predict everything that the network has learnt to tell.

        Args:
            images: `(B, in_channels, H, W)` float, normalised; any H and W.

        Returns:
            logits by name: `nuclei` and `interior` `(B, 1, H, W)`, `kinds` `(B, K, H, W)`, over K kinds one a pixel.
        """
        _, _, quarter, half, whole = self.decode(images)
        results = {"nuclei": self.head(whole)}
        for name, head in self.heads.items():
            features, factor = (quarter, 4) if name == "kinds" else (half, 2)
            results[name] = F.interpolate(head(features), scale_factor=factor, mode="bilinear", align_corners=False)
        return {name: values[..., : images.shape[2], : images.shape[3]] for name, values in results.items()}


@torch.inference_mode(False)  # a caller's own would leave weights that no gradient can pass
def build_own_network(
    name: str = "unet", outputs: Sequence[str] = ("nuclei",), kinds: Sequence[str] = (), **remembered: float
) -> EfficientNetSegmentation:
    """Build one of our own networks, at random start.

    Args:
        name: a key of `OWN_NETWORKS`.
        outputs: of `config.OUTPUTS`; for nuclei alone it is an `EfficientNetSegmentation`, else a `NucleiNetwork`.
        kinds: names of the kinds that it tells.
        remembered: `img_size`, `in_channels`, `num_classes` and `dropout` of `EfficientNetSegmentation`.

    Raises:
        InputError: a name that is not known.
    """
    if name not in OWN_NETWORKS:
        raise InputError(f"network {name!r}: expected one of {', '.join(OWN_NETWORKS)}")
    if len(outputs) > 1:
        model = NucleiNetwork(outputs=outputs, kinds=kinds, **remembered, **OWN_NETWORKS[name])
    else:
        model = EfficientNetSegmentation(**remembered, **OWN_NETWORKS[name])
    model.name = name
    return model
