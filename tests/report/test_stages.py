"""The stage table says what the network does, and what the course report says of it."""

import pytest
import torch

from helpers.model import EfficientNetSegmentation
from helpers.report import references
from helpers.report.stages import parameter_table, stage_table


@pytest.fixture(scope="module")
def model() -> EfficientNetSegmentation:
    return EfficientNetSegmentation(64)


def test_stages_as_efficientnet_has_them(model):
    rows = stage_table(model)
    assert {row["stage"]: row["measured"] for row in rows} == {
        "encoder 0": "32, H/2",
        "encoder 1": "16, H/2",
        "encoder 2": "24, H/4",
        "encoder 3": "40, H/8",
        "encoder 4": "112, H/16",
        "encoder 5": "1280, H/32",
        "decoder 4": "192, H/16",
        "decoder 3": "112, H/8",
        "decoder 2": "40, H/4",
        "decoder 1": "24, H/2",
        "decoder 0": "16, H",
        "output": "1, H",
    }
    assert [row["stage"] for row in rows] == list(references.STAGES)


def test_stages_beside_those_of_the_report(model):
    rows = stage_table(model)
    assert {row["stage"]: row["report"] for row in rows} == references.STAGES
    differ = {row["stage"] for row in rows if row["measured"] != row["report"]}
    assert differ == {"encoder 0", "encoder 1", "encoder 2", "encoder 3", "encoder 4"}


def test_channels_of_the_input_do_not_matter():
    rows = stage_table(EfficientNetSegmentation(96, in_channels=4))
    assert rows[0]["measured"] == "32, H/2"


@pytest.mark.parametrize("training", [True, False])
def test_network_is_left_as_it_was_found(model, training):
    model.train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stage_table(model)
    assert all(module.training == training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_parameters_beside_the_published_numbers(model):
    encoder, decoder, whole, drawn = parameter_table(model)
    assert (encoder["parameters"], encoder["published"], encoder["match"]) == (4_007_548, 4_007_548, True)
    assert (decoder["published"], decoder["match"]) == (None, None)
    assert (whole["published"], whole["match"]) == (19_480_839, False)
    assert whole["parameters"] == encoder["parameters"] + decoder["parameters"]
    assert (drawn["parameters"] / 1e6, drawn["match"]) == (pytest.approx(7.4, abs=0.05), False)


def test_parameters_of_the_decoder_by_hand(model):
    # Two 3 x 3 convolutions without bias and two batch norms a level, then 16 weights and a bias.
    inputs, outputs = (1280 + 112, 192 + 40, 112 + 24, 40 + 16, 24), (192, 112, 40, 24, 16)
    levels = sum(9 * (i + o) * o + 4 * o for i, o in zip(inputs, outputs, strict=True))
    assert parameter_table(model)[1]["parameters"] == levels + 17


def test_a_frozen_parameter_is_not_counted():
    model = EfficientNetSegmentation(64)
    trainable = parameter_table(model)[2]["parameters"]
    model.head.requires_grad_(False)
    assert parameter_table(model)[2]["parameters"] == trainable - 17


def test_stem_of_stride_1_is_the_network_that_the_report_draws():
    model = EfficientNetSegmentation(64, stem_stride=1)
    stem, *others = stage_table(model)
    assert (stem["measured"], stem["report"]) == ("32, H", "24, H/2")  # a stem of 24 channels EfficientNet-B0 never had
    assert all(row["measured"] == row["report"] for row in others)
    whole, drawn = parameter_table(model)[2:]
    assert whole["parameters"] == drawn["parameters"] == 7_397_709
