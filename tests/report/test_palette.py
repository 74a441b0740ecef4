"""Colours that readers tell apart."""

from matplotlib.colors import to_hex

from helpers.config import CLASS_NAMES
from helpers.report.palette import CLASS_COLOURS, MARK_COLOUR, TRAIN_COLOUR, VALIDATION_COLOUR


def test_classes_have_colours_of_their_own():
    assert tuple(CLASS_COLOURS) == CLASS_NAMES
    assert len({to_hex(colour) for colour in CLASS_COLOURS.values()}) == len(CLASS_NAMES)


def test_marks_stand_back():
    assert MARK_COLOUR not in (*CLASS_COLOURS.values(), TRAIN_COLOUR, VALIDATION_COLOUR)
