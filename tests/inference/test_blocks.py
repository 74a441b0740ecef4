"""Blocks and their seams: every nucleus whole and once, and the same whatever else is in the picture."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.inference import blocks
from helpers.inference.blocks import REACH, SIDE, Block, Box, Found, Seams, cut_blocks, keep_own, shift
from helpers.inference.instances import list_nuclei, part_nuclei


@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from([0.4, 0.97, 1.0, 2.0, 4.0]))
@settings(deadline=None, max_examples=60)
def test_cores_cover_the_picture_once_and_no_block_sees_too_much(height, width, zoom):
    cut = cut_blocks(height, width, zoom)
    assert [block.number for block in cut] == list(range(len(cut)))
    rows, columns = (sorted({(b.core[i], b.core[i + 2]) for b in cut}) for i in (0, 1))
    for sides, length in ((rows, height), (columns, width)):
        assert (sides[0][0], sides[-1][1]) == (0, length)
        assert all(before[1] == after[0] for before, after in zip(sides, sides[1:], strict=False))
    assert len(cut) == len(rows) * len(columns)
    for block in cut:
        assert block.seen.shared(block.core) == block.core
        assert max(block.seen.shape) <= SIDE / max(1, zoom) + 1
        for place in (0, 1):
            assert block.seen[place] == max(0, block.core[place] - int(np.ceil(REACH / zoom)))


def test_a_picture_of_a_blocks_size_is_one_block():
    assert cut_blocks(SIDE, SIDE, 1.0) == [Block(0, Box(0, 0, SIDE, SIDE), Box(0, 0, SIDE, SIDE))]
    assert len(cut_blocks(SIDE + 1, SIDE, 1.0)) == 2


def found_in(labels: np.ndarray, block: Block) -> Found:
    """Say what a block finds of a label map of the whole picture, numbered in its own order."""
    top, left, bottom, right = block.seen
    seen = part_nuclei(labels[top:bottom, left:right] > 0, None, 0.25)
    probability = np.ones(seen.shape, np.float32)
    nuclei = shift(list_nuclei(seen, probability, None, (), 0.25), block.seen)
    own = block.core.within(block.seen)
    return keep_own(Found(block, seen, nuclei, probability[own], seen[own] > 0), 0.25)


def scattered(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Draw discs of radius 4 to 15 that do not touch."""
    rng, labels = np.random.default_rng(seed), np.zeros((height, width), np.int32)
    rows, columns = np.mgrid[:height, :width]
    for number, (row, column) in enumerate(np.argwhere(np.ones((height // 34, width // 34)))):
        y, x = 17 + 34 * row + rng.integers(-1, 2), 17 + 34 * column + rng.integers(-1, 2)
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= rng.integers(4, 16) ** 2] = number + 1
    return labels


def put_together(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seams, tables, whole = Seams(0.25), [], np.zeros_like(labels)
    for block in cut_blocks(*labels.shape, 1.0):
        before, found = seams.count, seams.settle(found_in(labels, block))
        there = whole[block.seen.top : block.seen.bottom, block.seen.left : block.seen.right]
        assert not (there[found.labels > 0] > 0).any(), "a pixel was given twice"
        there[found.labels > 0] = found.labels[found.labels > 0] + before
        found.nuclei["id"] += before
        tables.append(found.nuclei)
    return whole, np.concatenate(tables)


@pytest.mark.parametrize(("side", "reach"), [(256, 32), (200, 16), (120, 40)])
def test_every_nucleus_comes_whole_and_once_whatever_the_blocks(monkeypatch, side, reach):
    labels = scattered(400, 530)
    expected = list_nuclei(labels, np.ones(labels.shape), None, (), 0.25)
    monkeypatch.setattr(blocks, "SIDE", side)
    monkeypatch.setattr(blocks, "REACH", reach)
    whole, nuclei = put_together(labels)
    np.testing.assert_array_equal(whole > 0, labels > 0)
    assert nuclei["id"].tolist() == [*range(1, len(expected) + 1)]
    for name in ("x", "y", "area_um2", "left", "top", "right", "bottom"):
        np.testing.assert_allclose(sorted(nuclei[name]), sorted(expected[name]))
    for row in nuclei:  # the table is that of the label map
        assert np.count_nonzero(whole == row["id"]) * 0.25**2 == row["area_um2"]


def two_blocks(first: np.ndarray, second: np.ndarray) -> list[Found]:
    """Make two blocks side by side that see the same 10 x 20 pixels and differ in what they find."""
    seen = Box(0, 0, 10, 20)
    parts = [Block(0, Box(0, 0, 10, 10), seen), Block(1, Box(0, 10, 10, 20), seen)]
    return [
        Found(block, labels, list_nuclei(labels, np.ones(labels.shape), None, (), 0.25), np.ones(1), np.ones(1))
        for block, labels in zip(parts, (first, second), strict=True)
    ]


def test_a_nucleus_that_each_block_leaves_to_the_other_is_kept_once():
    first, second = np.zeros((2, 10, 20), np.int32)
    first[2:6, 8:13] = 1  # its centre is column 10, in the second block
    second[2:6, 7:12] = 1  # its centre is column 9, in the first
    seams = Seams(0.25)
    one, two = (seams.settle(keep_own(found, 0.25)) for found in two_blocks(first, second))
    assert (len(one.nuclei), len(two.nuclei)) == (1, 0)
    np.testing.assert_array_equal(one.labels, first)


def test_a_nucleus_beyond_the_core_that_is_cut_or_far_is_left_to_its_own_block():
    labels = np.zeros((40, 60), np.int32)
    labels[2:6, 48:60] = 1  # reaches to the border of what is seen
    labels[20:30, 40:56] = 2  # within 4 um of the core
    labels[32:36, 55:59] = 3  # farther
    block = Block(0, Box(0, 0, 40, 40), Box(0, 0, 40, 60))
    nuclei = list_nuclei(labels, np.ones(labels.shape), None, (), 0.25)
    kept = keep_own(Found(block, labels, nuclei, np.ones(1), np.ones(1)), 0.25)
    assert kept.nuclei["left"].tolist() == [40]
    np.testing.assert_array_equal(kept.labels, labels == 2)


def test_at_a_seam_a_pixel_stays_with_the_first_and_what_lost_more_than_half_goes():
    first, second = np.zeros((2, 10, 20), np.int32)
    first[2:6, 4:12] = 1
    second[2:6, 11:15] = 1  # loses one column of four
    second[0:3, 9:14] = np.where(second[0:3, 9:14], 1, 2)  # loses 3 of 11 pixels
    second[5, 8:12] = 3  # all but one pixel are taken
    first[5, 11], second[5, 11] = 0, 3
    seams = Seams(0.25)
    one, two = map(seams.settle, two_blocks(first, second))
    assert seams.count == 3
    np.testing.assert_array_equal(one.labels, first)
    assert not ((one.labels > 0) & (two.labels > 0)).any()
    assert two.nuclei["id"].tolist() == [1, 2]
    assert two.nuclei["left"].tolist() == [12, 9]
    assert two.nuclei["area_um2"].tolist() == [np.count_nonzero(two.labels == number) / 16 for number in (1, 2)]
    again = seams.settle(dataclasses.replace(two, block=two.block))  # all is taken now
    assert len(again.nuclei) == 0
