"""Outlines: known shapes give known pixels, and no file makes more of itself than it is."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from published import corners, outlines_xml

from helpers.datasets.imagescope import fill_outline, parse_outlines
from helpers.errors import InputError

PATH = Path("Annotations/one.xml")


def filled(*outlines: list[tuple[float, float]], size: int = 40) -> np.ndarray:
    instances = np.zeros((size, size), np.int64)
    for number, outline in enumerate(outlines, 1):
        fill_outline(instances, np.array(outline, float), number)
    return instances


def parsed(text: str) -> list[np.ndarray]:
    return parse_outlines(PATH, text.encode())


def test_outlines_are_read_in_order():
    first, second = [(1.5, 2.25), (8, 2), (8, 9)], corners((3, 4, 30, 31))
    found = parsed(outlines_xml(first, second))
    assert [outline.tolist() for outline in found] == [
        [list(point) for point in outline] for outline in (first, second)
    ]


def test_every_layer_is_read():
    layer = outlines_xml(corners((0, 0, 4, 4))).removeprefix('<Annotations MicronsPerPixel="0.252000">')
    layer = layer.removesuffix("</Annotations>")
    assert len(parsed(f"<Annotations>{layer}{layer}</Annotations>")) == 2


@pytest.mark.parametrize("direction", [1, -1])
def test_a_square_fills_its_area_and_no_more(direction):
    instances = filled(corners((10, 20, 14, 27))[::direction])
    expected = np.zeros((40, 40), int)
    expected[20:27, 10:14] = 1
    np.testing.assert_array_equal(instances, expected)


def test_squares_that_touch_share_no_pixel_and_leave_none():
    instances = filled(corners((5, 5, 12, 12)), corners((12, 5, 20, 12)))
    assert [(instances == number).sum() for number in (1, 2)] == [49, 56]
    assert (instances[5:12, 5:20] > 0).all()


def test_a_vertex_between_pixels_decides_by_the_centre():
    assert np.argwhere(filled([(9.6, 9.6), (11.4, 9.6), (11.4, 10.4), (9.6, 10.4)])).tolist() == [[10, 10], [10, 11]]


def test_a_circle_has_the_area_of_a_circle():
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    instances = filled(list(zip(60 + 30.5 * np.cos(angles), 55 + 30.5 * np.sin(angles), strict=True)), size=120)
    assert instances.sum() == pytest.approx(np.pi * 30.5**2, rel=0.005)
    rows, columns = np.nonzero(instances)
    assert (rows.mean(), columns.mean()) == pytest.approx((55, 60), abs=0.05)


def test_it_lies_within_what_opencv_fills_and_covers_what_opencv_would_without_its_border():
    random = np.random.default_rng(3)
    for _ in range(20):
        angles = np.sort(random.uniform(0, 2 * np.pi, 12))
        radii = random.uniform(8, 18, 12)
        outline = np.rint(20 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.int32)
        generous, border = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
        cv2.fillPoly(generous, [outline], 1)
        cv2.polylines(border, [outline], isClosed=True, color=1, thickness=2)  # 4.10 and 5.0 differ on its rim
        ours = filled(outline.tolist()) > 0
        assert not (ours & (generous == 0)).any()
        assert ours[(generous == 1) & (border == 0)].all()


def test_an_outline_that_leaves_the_image_is_cut():
    expected = np.zeros((40, 40), int)
    expected[:6, 35:] = 1
    np.testing.assert_array_equal(filled(corners((35, -10, 60, 6))), expected)
    assert not filled(corners((-20, -20, -5, -5)), corners((50, 3, 60, 9))).any()


def test_what_the_pen_went_round_twice_is_inside():
    outer, inner = corners((4, 4, 20, 20)), corners((8, 8, 14, 14))
    twice = [*outer, outer[0], *inner, inner[0]]
    assert (filled(twice)[4:20, 4:20] == 1).all()


def test_the_first_of_two_keeps_the_pixels():
    instances = filled(corners((4, 4, 10, 10)), corners((7, 4, 14, 10)))
    assert [(instances == number).sum() for number in (1, 2)] == [36, 24]
    assert (instances[4:10, 4:10] == 1).all()


@pytest.mark.parametrize("outline", [[], [(5, 5)], [(5, 5), (9, 9)], [(5, 5), (9, 5), (7, 5)]])
def test_what_has_no_area_fills_nothing(outline):
    assert not filled(np.reshape(outline, (-1, 2))).any()
    assert len(parsed(outlines_xml(outline))) == 1  # and keeps its number


BOMB = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]><Annotations><Region>&c;</Region></Annotations>'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no outlines that can be read .*ParseError"),
        (b"II*\0 a picture", "no outlines that can be read"),
        (outlines_xml(corners((0, 0, 4, 4))).encode()[:-30], "no outlines that can be read"),
        (b'<Annotations><Region><Vertex X="1"/></Region></Annotations>', "KeyError: 'Y'.*X and Y for each Vertex"),
        (b'<Annotations><Region><Vertex X="a" Y="1"/></Region></Annotations>', "could not convert string to float"),
        (b"<Annotations></Annotations>", "found no Region, expected an outline for each nucleus"),
        (b'<Annotations><Region><Vertex X="nan" Y="1"/></Region></Annotations>', "far outside of any image"),
        (b'<Annotations><Region><Vertex X="1" Y="-1e300"/></Region></Annotations>', "far outside of any image"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "no outlines that can be read .*LookupError"),
        (BOMB.encode(), "no outlines that can be read .*DTDForbidden"),
        (BOMB.encode("utf-16"), "no outlines that can be read .*DTDForbidden"),
    ],
)
def test_what_is_no_imagescope_file_is_refused(data, message):
    with pytest.raises(InputError, match=message) as error:
        parse_outlines(PATH, data)
    assert str(error.value).startswith(f"{PATH}: found ")
    assert "\n" not in str(error.value)
