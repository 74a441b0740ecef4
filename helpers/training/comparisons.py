"""Every network that a recipe can name: our own, and other people's to compare with.

Those of segmentation-models-pytorch stand on the same EfficientNet-B0 and differ in the decoder alone.
"""

from collections.abc import Sequence
from importlib import import_module

import torch
from torch import Tensor, nn

from helpers.config import Recipe
from helpers.errors import InputError
from helpers.model import RANDOM_START_MOMENTUM, keep_depthwise_in_float32, pad_to_stride, set_batch_norm_momentum
from helpers.networks import OWN_NETWORKS, build_own_network

# Their classes there. Dropout within their decoders is off: `ComparisonNetwork` puts the recipe's where our own network
# has it.
COMPARISONS = {
    "smp-unet": ("Unet", {}),
    "smp-fpn": ("FPN", {"decoder_dropout": 0.0}),
    "smp-deeplabv3plus": ("DeepLabV3Plus", {"decoder_aspp_dropout": 0.0}),
}
NETWORK_NAMES = (*OWN_NETWORKS, *COMPARISONS)


class ComparisonNetwork(nn.Module):
    """A network of segmentation-models-pytorch over EfficientNet-B0, under the same conditions as our own.

    It starts at random, with the batch-norm momentum of a random start; borders are repeated, the deepest features are
    dropped out and depthwise convolutions are computed as in `EfficientNetSegmentation`, so that scores and times
    compare the decoders. The encoder's last 1 x 1 convolution, which no decoder of that package reads, is not counted
    as trainable.

    Args:
        name: a key of `COMPARISONS`.
        img_size: height and width of the training tiles in pixels. The network takes any size; this one is remembered.
        in_channels: channels of the input, 3 for RGB.
        num_classes: number of nuclei classes in the data, only remembered.
        dropout: probability with which a channel of the deepest features is set to zero in training.

    Reference:
        Iakubovskii 2019, Segmentation Models Pytorch, github.com/qubvel-org/segmentation_models.pytorch.
        Lin et al. 2017, Feature pyramid networks, doi:10.1109/CVPR.2017.106.
        Chen et al. 2018, DeepLabv3+, doi:10.1007/978-3-030-01234-2_49.
    """

    def __init__(
        self, name: str, img_size: int = 128, in_channels: int = 3, num_classes: int = 5, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.name, self.img_size, self.in_channels, self.num_classes = name, img_size, in_channels, num_classes
        kind, more = COMPARISONS[name]
        package = import_module("segmentation_models_pytorch")  # here: our own networks need not wait for it
        build = getattr(package, kind)
        self.network = build("efficientnet-b0", encoder_weights=None, in_channels=in_channels, classes=1, **more)
        encoder = self.network.encoder
        for unread in (encoder._conv_head, encoder._bn1):
            unread.requires_grad_(False)
        keep_depthwise_in_float32(encoder)
        set_batch_norm_momentum(self.network, RANDOM_START_MOMENTUM)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Predict `(B, 1, H, W)` logits from `(B, in_channels, H, W)` images, normalised; any H and W."""
        *features, deepest = self.network.encoder(pad_to_stride(images, self.in_channels))
        logits = self.network.segmentation_head(self.network.decoder([*features, self.dropout(deepest)]))
        return logits[..., : images.shape[2], : images.shape[3]]


def build_network(
    name: str = "unet", img_size: int = 128, dropout: float = 0.2, in_channels: int = 3, num_classes: int = 5,
    outputs: Sequence[str] = ("nuclei",), kinds: Sequence[str] = (),
) -> nn.Module:  # fmt: skip
    """Build one of `NETWORK_NAMES` at random start; the arguments are those of `ComparisonNetwork`.

    Only our own take `outputs` and `kinds`, see `networks.build_own_network`.

    Returns:
        a module that takes images `(B, in_channels, H, W)` to logits `(B, 1, H, W)`, or to several by name, and
        remembers all these arguments as attributes, `dropout` as the layer.

    Raises:
        InputError: a name that is not known, or outputs that the network does not have.
    """
    remembered = {"img_size": img_size, "in_channels": in_channels, "num_classes": num_classes, "dropout": dropout}
    if name not in NETWORK_NAMES:
        raise InputError(f"network {name!r}: expected one of {', '.join(NETWORK_NAMES)}")
    if name in COMPARISONS and len(outputs) > 1:
        raise InputError(
            f"network {name!r}: tells nuclei alone, expected one of {', '.join(OWN_NETWORKS)} to tell more"
        )
    if name in COMPARISONS:
        return ComparisonNetwork(name, **remembered)
    return build_own_network(name, outputs, kinds, **remembered)


def untrained_model(recipe: Recipe, kinds: Sequence[str] = ()) -> nn.Module:
    """Build the network as a run of this recipe starts it, before ImageNet weights and training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return build_network(
            recipe.network, recipe.image_size, recipe.dropout, outputs=recipe.outputs, kinds=kinds
        ).eval()
