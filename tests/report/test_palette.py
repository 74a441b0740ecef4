"""Colours that readers tell apart."""

from matplotlib.colors import to_hex

from helpers.config import CLASS_NAMES
from helpers.report.palette import CLASS_COLOURS


def test_classes_have_colours_of_their_own():
    assert tuple(CLASS_COLOURS) == CLASS_NAMES
    assert len({to_hex(colour) for colour in CLASS_COLOURS.values()}) == len(CLASS_NAMES)
