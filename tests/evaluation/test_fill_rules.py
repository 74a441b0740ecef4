"""One prediction, three fillings of the same outlines."""

import gzip
import json

import numpy as np
import pytest
from published import corners

from helpers.errors import InputError
from helpers.evaluation.fill_rules import FILL_RULES, fill_mask, read_outlines


def test_a_square_by_each_rule():
    # Corners at whole numbers from 2 to 6: 4 x 4 pixels; with the border on every side 5 x 5.
    areas = {rule: int(fill_mask([np.array(corners((2, 2, 6, 6)), float)], (9, 9), rule).sum()) for rule in FILL_RULES}
    assert list(areas.values()) == [16, 25, 25]


def test_a_triangle_by_each_rule():
    # Half of a 4 x 4 square has 3, 2, 1 and 0 centres inside in its rows; those on the long edge are the other half's.
    half = np.array([(2, 2), (6, 2), (2, 6)], float)
    assert [int(fill_mask([half], (9, 9), rule).sum()) for rule in FILL_RULES] == [6, 15, 15]


@pytest.mark.parametrize("rule", FILL_RULES)
def test_nuclei_leave_the_image_add_up_and_may_be_empty(rule):
    outlines = [np.array(corners(box), float) for box in ((-3, -3, 2, 2), (5, 5, 20, 20))]
    mask = fill_mask([*outlines, np.empty((0, 2))], (8, 8), rule)
    assert mask.dtype == bool
    assert mask[[0, 7, 0], [0, 7, 7]].tolist() == [True, True, False]
    assert not fill_mask([], (8, 8), rule).any()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_outlines_are_read(tmp_path, pack):
    path = tmp_path / ("outlines.json.gz" if pack is gzip.compress else "outlines.json")
    path.write_bytes(pack(json.dumps({"a": [[[0, 0], [1.5, 2], [3, 4]], []], "b": []}).encode()))
    outlines = read_outlines(path, ["a"])
    assert [one.tolist() for one in outlines["a"]] == [[[0, 0], [1.5, 2], [3, 4]], []]
    assert outlines["b"] == []
    with pytest.raises(InputError, match="expected outlines of the 3 images that are scored, found none of 2, c among"):
        read_outlines(path, ["a", "d", "c"])


CUT = gzip.compress(b"{}")[:-9]
DAMAGED = CUT[:10] + b"\xff" * 20


@pytest.mark.parametrize("data", [DAMAGED, gzip.compress(b"[" * 100_000)])
def test_damaged_archives_and_deep_nesting_are_refused(tmp_path, data):
    (tmp_path / "o.json.gz").write_bytes(data)
    with pytest.raises(InputError, match=r"o\.json\.gz: expected outlines as JSON"):
        read_outlines(tmp_path / "o.json.gz", [])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e300"])
def test_a_vertex_that_is_nowhere_is_refused(tmp_path, number):
    (tmp_path / "o.json").write_text(f'{{"a": [[[0, {number}], [1, 2], [3, 4]]]}}')
    with pytest.raises(InputError, match="expected outlines in pixels, found another number in a"):
        read_outlines(tmp_path / "o.json", ["a"])


@pytest.mark.parametrize("data", [None, b"", b"{", b"[]", b'{"a": 3}', b'{"a": [[1, 2, 3]]}', CUT])
def test_what_holds_no_outlines_is_refused(tmp_path, data):
    path = tmp_path / "outlines.json.gz"
    if data is not None:
        path.write_bytes(data if data[:2] == b"\x1f\x8b" else gzip.compress(data))
    with pytest.raises(InputError, match=r"outlines\.json\.gz: expected outlines as JSON"):
        read_outlines(path, [])
