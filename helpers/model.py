"""The network: a U-Net (Ronneberger et al. 2015) whose encoder is EfficientNet-B0 (Tan & Le 2019)."""

import math
from collections.abc import Sequence

import torch
from efficientnet_pytorch import EfficientNet
from efficientnet_pytorch.utils import Conv2dStaticSamePadding
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 32  # the deepest features stand at 1/32 of the image
# After these blocks of EfficientNet-B0 the features have the given channels, at H/2, H/4, H/8 and H/16.
SKIP_BLOCKS = {0: 16, 2: 24, 4: 40, 10: 112}
# With a stem of stride 1, after these: the channels at the scales that the report's table prints.
STEM1_SKIP_BLOCKS = {2: 24, 4: 40, 10: 112, 14: 192}
BOTTLENECK_CHANNELS, LAST_BLOCK_CHANNELS = 1280, 320
DECODER_CHANNELS = (192, 112, 40, 24, 16)  # the report's, from H/16 up to H

# efficientnet-pytorch takes TensorFlow's momentum over, which moves the running statistics by 0.01 a step: right when
# they start from ImageNet's, but from a random start they lag behind the weights for hundreds of steps.
RANDOM_START_MOMENTUM = 0.1


class DepthwiseConv2d(Conv2dStaticSamePadding):
    """EfficientNet's depthwise convolution, in float32 on a CPU whatever the autocast.

    oneDNN's backward pass of 5 x 5 or strided depthwise convolutions takes 3 to 15 times as long in bfloat16.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Take `(B, C, h, w)` to `(B, C, h, w)`, or half of h and w where the stride is 2."""
        if features.device.type != "cpu":
            return super().forward(features)
        with torch.autocast("cpu", enabled=False):
            return super().forward(features.to(self.weight.dtype))


def build_encoder(name: str, in_channels: int, image_size: int) -> EfficientNet:
    """Build an encoder at random start: "efficientnet-b0", or "efficientnet-lite0".

    Lite0 is B0 without squeeze-and-excitation, with ReLU6 in place of Swish: made for integers and small devices.

    Reference:
        Liu 2020, EfficientNet-Lite, github.com/tensorflow/tpu (models/official/efficientnet/lite).
    """
    network = EfficientNet.from_name("efficientnet-b0", in_channels, image_size=image_size, include_top=False)
    if name == "efficientnet-b0":
        network.set_swish(memory_efficient=False)  # nn.SiLU, which can be exported
        return network
    blocks = [block._replace(se_ratio=None) for block in network._blocks_args]
    network = EfficientNet(blocks, network._global_params)
    if in_channels != 3:
        network._change_in_channels(in_channels)
    for module in (network, *network._blocks):
        module._swish = nn.ReLU6()
    # What lies behind the last block is for telling 1,000 kinds of pictures apart: a third of the parameters.
    network._conv_head, network._bn1 = nn.Identity(), nn.Identity()
    return network


class DecoderBlock(nn.Module):
    """Double the size bilinearly, put the encoder's features of that size beside, and convolve twice."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(in_channels + skip_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, features: Tensor, skip: Tensor | None) -> Tensor:
        """Take `(B, in, h, w)` and `(B, skip, 2h, 2w)` or None to `(B, out, 2h, 2w)`."""
        features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        return self.convolutions(features if skip is None else torch.cat([features, skip], dim=1))


class EfficientNetSegmentation(nn.Module):
    """U-Net over EfficientNet-B0 for nuclei against background.

    The encoder keeps EfficientNet's own strides, which ImageNet weights were trained with; `stages.stage_table` sets
    its scales beside those that the report prints.

    Args:
        img_size: height and width of the training tiles in pixels. The network takes any size; this one is remembered.
        in_channels: channels of the input, 3 for RGB.
        num_classes: number of nuclei classes in the data. The network is binary, so this adds no output.
        dropout: probability with which a channel of the deepest features is set to zero in training.
        decoder_channels: channels of the five decoder blocks, from H/16 up to H.
        stem_stride: 2 as in EfficientNet. With 1 every stage is twice as high and wide, and the encoder's last block
            halves instead of the stem: then the stages stand where the report's table has them. It takes about three
            times as long.
        encoder: as in `build_encoder`.
        detail_channels: above 0, as many channels that one convolution makes of the image stand beside the features of
            the last decoder block: the encoder's own begin at half the size.

    Attributes:
        name: what `networks.build_own_network` knows it by.
        skip_blocks: the encoder's blocks whose features the decoder takes, from the first on, with their channels.

    Reference:
        Ronneberger, Fischer, Brox 2015, U-Net, doi:10.1007/978-3-319-24574-4_28.
        Tan, Le 2019, EfficientNet, arXiv:1905.11946.
    """

    name = "unet"

    def __init__(
        self,
        img_size: int = 128,
        in_channels: int = 3,
        num_classes: int = 5,
        dropout: float = 0.2,
        *,
        decoder_channels: Sequence[int] = DECODER_CHANNELS,
        stem_stride: int = 2,
        encoder: str = "efficientnet-b0",
        detail_channels: int = 0,
    ) -> None:
        super().__init__()
        self.img_size, self.in_channels, self.num_classes = img_size, in_channels, num_classes
        # Its padding is the same for all multiples of 32, which forward() sees to.
        self.encoder = build_encoder(encoder, in_channels, math.ceil(img_size / STRIDE) * STRIDE)
        keep_depthwise_in_float32(self.encoder)
        set_batch_norm_momentum(self.encoder, RANDOM_START_MOMENTUM)
        self.skip_blocks = SKIP_BLOCKS
        if stem_stride == 1:
            self.skip_blocks = STEM1_SKIP_BLOCKS
            _set_stride(self.encoder._conv_stem, 1)
            _set_stride(self.encoder._blocks[-1]._depthwise_conv, 2)
        self.dropout = nn.Dropout2d(dropout)
        lite = isinstance(self.encoder._conv_head, nn.Identity)
        inputs = (LAST_BLOCK_CHANNELS if lite else BOTTLENECK_CHANNELS, *decoder_channels)
        skips = (*reversed(self.skip_blocks.values()), detail_channels)
        self.detail = None
        if detail_channels:
            self.detail = nn.Sequential(
                nn.Conv2d(in_channels, detail_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(detail_channels),
                nn.ReLU(inplace=True),
            )
        self.decoder = nn.ModuleList(map(DecoderBlock, inputs, skips, decoder_channels))
        self.head = nn.Conv2d(decoder_channels[-1], 1, 1)

    def encode(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Give the deepest features `(B, 1280, H/32, W/32)` and the skips from H/16 up to H/2."""
        encoder, skips = self.encoder, []
        features = encoder._swish(encoder._bn0(encoder._conv_stem(images)))
        for index, block in enumerate(encoder._blocks):
            # Stochastic depth, stronger the deeper the block, as in EfficientNet's own forward pass.
            rate = encoder._global_params.drop_connect_rate * index / len(encoder._blocks)
            features = block(features, drop_connect_rate=rate)
            if index in self.skip_blocks:
                skips.insert(0, features)
        if isinstance(encoder._conv_head, nn.Identity):
            return features, skips
        return encoder._swish(encoder._bn1(encoder._conv_head(features))), skips

    def forward(self, images: Tensor) -> Tensor:
        """Predict the logit of nucleus for every pixel.

        Args:
            images: `(B, in_channels, H, W)` float, normalised; any H and W.

        Returns:
            `(B, 1, H, W)` logits.

        Raises:
            ValueError: another number of dimensions or channels.
        """
        *_, features = self.decode(images)
        return self.head(features)[..., : images.shape[2], : images.shape[3]]  # (B, 1, H, W), the padding cut off

    def decode(self, images: Tensor) -> list[Tensor]:
        """Give the features of the decoder's five blocks, `(B, 192, H/16, W/16)` up to `(B, 16, H, W)`, padded."""
        padded = pad_to_stride(images, self.in_channels)
        features, skips = self.encode(padded)  # (B, 1280, H/32, W/32)
        features, decoded = self.dropout(features), []
        for block, skip in zip(self.decoder, [*skips, self.detail and self.detail(padded)], strict=True):
            features = block(features, skip)
            decoded.append(features)
        return decoded


def nuclei_of(outputs: Tensor | dict[str, Tensor]) -> Tensor:
    """Give the map of nuclei, `(B, 1, H, W)`, of what any of the networks gives, or of what it is to learn."""
    return outputs["nuclei"] if isinstance(outputs, dict) else outputs


def pad_to_stride(images: Tensor, in_channels: int) -> Tensor:
    """Repeat the border of `(B, in_channels, H, W)` images up to a multiple of 32: zeros would look like an edge."""
    if images.ndim != 4 or images.shape[1] != in_channels:
        raise ValueError(f"expected images of shape (B, {in_channels}, H, W), found {tuple(images.shape)}")
    height, width = images.shape[2:]
    return F.pad(images, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")


def keep_depthwise_in_float32(encoder: nn.Module) -> None:
    """Make every depthwise convolution of an EfficientNet a `DepthwiseConv2d`; their weights stay."""
    for block in encoder._blocks:
        block._depthwise_conv.__class__ = DepthwiseConv2d


def set_batch_norm_momentum(module: nn.Module, momentum: float) -> None:
    """Set how far every batch normalisation in `module` moves its running statistics in one step, 0 to 1."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = momentum


def _set_stride(convolution: Conv2dStaticSamePadding, stride: int) -> None:
    """Change a convolution's stride, and its padding to TensorFlow's "same" for images of even height and width."""
    convolution.stride = (stride, stride)
    padding = convolution.kernel_size[0] - stride
    before, after = padding // 2, padding - padding // 2  # the odd one stands at the end
    convolution.static_padding = nn.ZeroPad2d((before, after, before, after))


def count_parameters(module: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
