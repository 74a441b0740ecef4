"""The diagram shows the stages that were measured, and none twice."""

from itertools import pairwise

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_rgba

from helpers.report.diagram import plot_architecture
from helpers.report.palette import TRAIN_COLOUR, VALIDATION_COLOUR

ENCODER = [f"encoder {level}" for level in range(6)]
DECODER = [f"decoder {level}" for level in range(4, -1, -1)]
STAGES = [{"stage": stage, "measured": f"{10 + row}, H/7"} for row, stage in enumerate([*ENCODER, *DECODER, "output"])]


@pytest.fixture
def axes():
    figure = plot_architecture(STAGES)
    yield figure.axes[0]
    plt.close(figure)


@pytest.fixture
def boxes(axes) -> dict:
    """First line of each box to its text."""
    return {text.get_text().partition("\n")[0]: text for text in axes.texts if text.get_bbox_patch()}


def test_every_stage_has_one_box_with_what_was_measured(axes, boxes):
    assert len([text for text in axes.texts if text.get_bbox_patch()]) == 13
    for row in STAGES:
        assert boxes[row["stage"]].get_text() == f"{row['stage']}\n{row['measured']}"
    assert boxes["RGB image"].get_text() == "RGB image\n3, H"


def test_encoder_goes_down_and_decoder_up(boxes):
    places = {name: text.get_position() for name, text in boxes.items()}
    assert len(set(places.values())) == 13
    down = [places[stage][1] for stage in ENCODER[1:]]
    up = [places[stage][1] for stage in DECODER]
    assert down == sorted(down, reverse=True)
    assert up == sorted(up)
    assert max(places[stage][0] for stage in ENCODER) < min(places[stage][0] for stage in DECODER)


def test_arrows_follow_the_images_and_skips_go_across(axes, boxes):
    places = {text.get_position(): name for name, text in boxes.items()}
    arrows = {"-": [], ":": []}
    for note in axes.texts:
        if getattr(note, "arrow_patch", None) is not None:
            arrows[note.arrow_patch.get_linestyle()].append((places[note.xyann], places[note.xy]))
    assert arrows["-"] == list(pairwise(["RGB image", *ENCODER, *DECODER, "output"]))
    assert arrows[":"] == [(f"encoder {level}", f"decoder {level}") for level in range(1, 5)]


def test_both_halves_have_their_colour(boxes):
    colours = {name: text.get_bbox_patch().get_edgecolor() for name, text in boxes.items()}
    assert {colours[stage] for stage in (*ENCODER, "RGB image")} == {to_rgba(TRAIN_COLOUR)}
    assert {colours[stage] for stage in (*DECODER, "output")} == {to_rgba(VALIDATION_COLOUR)}


def test_boxes_do_not_lie_upon_one_another(axes, boxes):
    axes.figure.canvas.draw()
    extents = [text.get_bbox_patch().get_window_extent() for text in boxes.values()]
    assert not any(a.overlaps(b) for number, a in enumerate(extents) for b in extents[:number])
    whole = axes.figure.bbox
    assert all(
        whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1 for box in extents
    )


def test_a_stage_that_is_missing_is_not_made_up():
    with pytest.raises(KeyError, match="decoder 2"):
        plot_architecture([row for row in STAGES if row["stage"] != "decoder 2"])
    plt.close("all")
