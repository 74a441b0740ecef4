"""The network: sizes, scales, parameters, padding, and the encoder that efficientnet-pytorch means."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.model import (
    RANDOM_START_MOMENTUM,
    DecoderBlock,
    EfficientNetSegmentation,
    count_parameters,
    set_batch_norm_momentum,
)


@pytest.fixture(scope="module")
def trained() -> EfficientNetSegmentation:
    """A network whose running statistics are its data's, so that it answers with more than noise."""
    torch.manual_seed(0)
    model = EfficientNetSegmentation(img_size=64)
    set_batch_norm_momentum(model, 1.0)
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 64, 64))
    return model.eval()


def predict(model: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(images)


def still(model: EfficientNetSegmentation) -> EfficientNetSegmentation:
    """Take all chance out of training mode."""
    model.dropout.p = 0.0
    model.encoder._global_params = model.encoder._global_params._replace(drop_connect_rate=0.0)
    return model


@pytest.mark.parametrize("size", [(64, 64), (256, 256), (100, 37), (33, 64), (1, 1), (31, 65)])
def test_one_logit_for_every_pixel(trained, size):
    logits = predict(trained, torch.randn(2, 3, *size))
    assert logits.shape == (2, 1, *size)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


def test_parameters_match_the_published_encoder(trained):
    assert count_parameters(trained.encoder) == 4_007_548  # Tan & Le's 5.3 million less the classifier
    assert count_parameters(trained) == 7_179_405
    # By hand: two 3 x 3 convolutions and two batch normalisations (scale and shift) a block, a 1 x 1 head with a bias.
    inputs, outputs, skips = (1280, 192, 112, 40, 24), (192, 112, 40, 24, 16), (112, 40, 24, 16, 0)
    decoder = sum(9 * (i + s) * o + 9 * o * o + 4 * o for i, s, o in zip(inputs, skips, outputs, strict=True))
    assert count_parameters(trained) == 4_007_548 + decoder + 16 + 1


def test_only_trainable_parameters_are_counted():
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    assert count_parameters(layer) == 6


def test_stages_stand_at_their_real_scales(trained):
    found = {}

    def note(name):
        return lambda _module, _inputs, output: found.update({name: tuple(output.shape[1:])})

    blocks = trained.encoder._blocks
    hooks = [blocks[index].register_forward_hook(note(index)) for index in (0, 2, 4, 10, 15)]
    hooks += [trained.encoder._bn1.register_forward_hook(note("head"))]
    hooks += [block.register_forward_hook(note(f"decoder {4 - i}")) for i, block in enumerate(trained.decoder)]
    predict(trained, torch.randn(1, 3, 64, 128))
    for hook in hooks:
        hook.remove()
    assert found == {
        0: (16, 32, 64),  # H/2
        2: (24, 16, 32),  # H/4, where the report says H/2
        4: (40, 8, 16),  # H/8
        10: (112, 4, 8),  # H/16
        15: (320, 2, 4),  # H/32
        "head": (1280, 2, 4),
        "decoder 4": (192, 4, 8),
        "decoder 3": (112, 8, 16),
        "decoder 2": (40, 16, 32),
        "decoder 1": (24, 32, 64),
        "decoder 0": (16, 64, 128),
    }


def test_stem_of_stride_1_puts_the_stages_where_the_report_has_them():
    torch.manual_seed(0)
    model = EfficientNetSegmentation(64, stem_stride=1).eval()
    with torch.inference_mode():
        deepest, skips = model.encode(torch.randn(1, 3, 64, 128))
    assert deepest.shape == (1, 1280, 2, 4)  # H/32
    shapes = [tuple(skip.shape[1:]) for skip in skips]
    assert shapes == [(192, 4, 8), (112, 8, 16), (40, 16, 32), (24, 32, 64)]  # H/16, H/8, H/4, H/2
    assert predict(model, torch.randn(1, 3, 40, 37)).shape == (1, 1, 40, 37)


def test_stem_of_stride_1_has_the_same_weights_and_tensorflows_padding():
    model = EfficientNetSegmentation(64, stem_stride=1)
    model.encoder.load_state_dict(EfficientNetSegmentation(64).encoder.state_dict())  # ImageNet's fit as well
    # "Same" for 3 x 3: one pixel on each side at stride 1; at stride 2 on an even size one at the end.
    assert tuple(model.encoder._conv_stem.static_padding.padding) == (1, 1, 1, 1)
    last = model.encoder._blocks[15]._depthwise_conv
    assert (tuple(last.static_padding.padding), last.stride) == ((0, 1, 0, 1), (2, 2))
    # The same rule gives what the package itself has for the strides it knows.
    usual = EfficientNetSegmentation(64).encoder
    for convolution in (usual._conv_stem, *(block._depthwise_conv for block in usual._blocks)):
        stride = convolution.stride if isinstance(convolution.stride, int) else convolution.stride[0]
        total = convolution.kernel_size[0] - stride
        expected = (total // 2, total - total // 2) * 2
        assert tuple(getattr(convolution.static_padding, "padding", (0, 0, 0, 0))) == expected


def test_encoder_is_efficientnets_own(trained):
    images = torch.randn(2, 3, 96, 64)
    with torch.inference_mode():
        features, skips = trained.encode(images)
        torch.testing.assert_close(features, trained.encoder.extract_features(images))
        endpoints = trained.encoder.extract_endpoints(images)
    for skip, name in zip(skips, ("reduction_4", "reduction_3", "reduction_2", "reduction_1"), strict=True):
        torch.testing.assert_close(skip, endpoints[name])


def test_decoder_block_enlarges_and_joins():
    block = DecoderBlock(2, 1, 1).eval()
    with torch.no_grad():
        # The first convolution passes on the skip alone, the second doubles it.
        for convolution, weights in ((block.convolutions[0], (0, 0, 1)), (block.convolutions[3], (2,))):
            convolution.weight.zero_()
            convolution.weight[0, :, 1, 1] = torch.tensor(weights, dtype=torch.float32)
        skip = torch.rand(1, 1, 8, 6)
        result = block(torch.randn(1, 2, 4, 3), skip)
    torch.testing.assert_close(result, 2 * skip, rtol=1e-4, atol=1e-6)  # batch normalisation divides by sqrt(1 + 1e-5)


def test_remembered_size_and_classes_change_nothing(trained):
    other = EfficientNetSegmentation(img_size=200, num_classes=9).eval()
    other.load_state_dict(trained.state_dict())
    images = torch.randn(1, 3, 96, 160)
    torch.testing.assert_close(predict(other, images), predict(trained, images))
    assert (other.img_size, other.num_classes) == (200, 9)


@pytest.mark.parametrize(("size", "padded"), [((64, 32), (64, 32)), ((40, 33), (64, 64)), ((1, 1), (32, 32))])
def test_border_is_repeated_up_to_a_multiple_of_32(trained, size, padded):
    seen = []
    hook = trained.encoder._conv_stem.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].clone()))
    images = torch.randn(1, 3, *size)
    logits = predict(trained, images)
    hook.remove()
    more = [(0, 0), (0, 0), *((0, after - before) for before, after in zip(size, padded, strict=True))]
    expected = np.pad(images.numpy(), more, mode="edge")
    np.testing.assert_array_equal(seen[0].numpy(), expected)
    # The answer is that for the padded image, cut back.
    whole = predict(trained, torch.from_numpy(expected))
    torch.testing.assert_close(logits, whole[..., : size[0], : size[1]])


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (1, 4, 64, 64), (3, 64, 64), (1, 64, 64, 3), (1, 3, 1, 64, 64)])
def test_other_images_are_refused(trained, shape):
    with pytest.raises(ValueError, match=r"expected images of shape \(B, 3, H, W\), found"):
        trained(torch.zeros(shape))


def test_gradient_reaches_every_parameter():
    torch.manual_seed(0)
    model = still(EfficientNetSegmentation(img_size=64)).train()
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    unreached = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert unreached == []
    assert all(torch.isfinite(value.grad).all() for value in model.parameters())


def test_gray_images():
    model = EfficientNetSegmentation(in_channels=1).eval()
    assert predict(model, torch.randn(1, 1, 32, 32)).shape == (1, 1, 32, 32)
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        model(torch.zeros(1, 3, 32, 32))


def test_evaluation_leaves_nothing_to_chance(trained):
    model = copy.deepcopy(trained).double()
    images = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    together = predict(model, images)
    assert torch.equal(together, predict(model, images))
    torch.testing.assert_close(together[1:2], predict(model, images[1:2]))  # nor to the other images of the batch


def test_training_drops_whole_channels_at_the_given_rate():
    torch.manual_seed(0)
    model = EfficientNetSegmentation(dropout=0.5).train()
    seen = []
    model.decoder[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(torch.randn(2, 3, 64, 64))
    dropped = (seen[0] == 0).all((2, 3))  # (2, 1280)
    assert 0.45 < dropped.float().mean() < 0.55
    assert not torch.equal(dropped[0], dropped[1])


def test_training_drops_blocks_and_channels_only():
    torch.manual_seed(0)
    model = EfficientNetSegmentation().train()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert not torch.equal(model(images), model(images))
        model.dropout.p = 0.0
        assert not torch.equal(model(images), model(images))  # stochastic depth is left
        still(model)
        assert torch.equal(model(images), model(images))


def test_momentum_of_a_random_start():
    model = EfficientNetSegmentation()
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(layers) == 49 + 10  # EfficientNet-B0's, and two in each decoder block
    assert {layer.momentum for layer in layers} == {RANDOM_START_MOMENTUM} == {0.1}
    set_batch_norm_momentum(model.encoder, 0.25)
    assert [layer.momentum for layer in layers].count(0.25) == 49


def test_memory_layout_changes_nothing(trained):
    model = copy.deepcopy(trained).double()  # in float32 the order of the sums shows
    images = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    expected = predict(model, images)
    actual = predict(model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, expected)


def test_exported_network_answers_the_same(trained):
    exported = torch.export.export(trained, (torch.randn(1, 3, 64, 64),)).module()
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(predict(exported, images), predict(trained, images))
