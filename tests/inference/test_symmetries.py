"""Turned by hand, turned back by the way in, and all eight different."""

import numpy as np
import pytest

from helpers.inference.symmetries import SYMMETRIES, turn, turn_back

TILES = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), np.uint8)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_what_was_turned_is_turned_back(symmetry):
    maps = turn(TILES, symmetry).transpose(0, 3, 1, 2)  # as if a network told the colours of each pixel
    np.testing.assert_array_equal(turn_back(maps, symmetry).transpose(0, 2, 3, 1), TILES)


def test_the_first_changes_nothing_and_no_two_are_alike():
    np.testing.assert_array_equal(turn(TILES, SYMMETRIES[0]), TILES)
    square = TILES[:, :, :4]
    assert len({turn(square, symmetry).tobytes() for symmetry in SYMMETRIES}) == 8


def test_a_quarter_turn_is_against_the_clock_and_a_flip_follows():
    letters = np.frombuffer(b"abcd", np.uint8).reshape(1, 2, 2, 1)
    assert turn(letters, (1, False)).tobytes() == b"bdac"
    assert turn(letters, (1, True)).tobytes() == b"dbca"
