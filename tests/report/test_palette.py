"""Colours that readers tell apart."""

import matplotlib.pyplot as plt
from matplotlib.colors import to_hex

from helpers.report.palette import COLOURS, DPI, subplots


def test_the_colours_of_charts_differ():
    assert len({to_hex(colour) for colour in COLOURS}) == len(COLOURS)


def test_charts_have_the_size_asked_for_and_no_frame_above_and_on_the_right():
    figure, axes = subplots(1, 2, (4.0, 2.0))
    assert (figure.get_size_inches() * figure.dpi).tolist() == [4.0 * DPI, 2.0 * DPI]
    assert not any(axis.spines[side].get_visible() for axis in axes for side in ("top", "right"))
    plt.close(figure)
