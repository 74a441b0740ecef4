"""Colours that readers tell apart."""

import numpy as np

from helpers.config import CLASS_NAMES
from helpers.saving.colours import CLASS_COLOURS, KIND_COLOURS, kind_colour


def test_classes_have_colours_of_their_own():
    assert tuple(CLASS_COLOURS) == CLASS_NAMES
    assert len({colour.upper() for colour in KIND_COLOURS.values()}) == len(KIND_COLOURS)


def test_colours_are_red_green_and_blue_and_far_apart():
    assert kind_colour("Neoplastic") == (0xD5, 0x5E, 0x00)
    colours = np.array([kind_colour(kind) for kind in KIND_COLOURS])
    apart = np.abs(colours[:, None] - colours).sum(-1)
    assert apart[~np.eye(len(colours), dtype=bool)].min() > 90
