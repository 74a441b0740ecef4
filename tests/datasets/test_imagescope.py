"""Outlines: known shapes give known pixels, and no file makes more of itself than it is."""

from pathlib import Path

import numpy as np
import pytest
from published import corners, outlines_xml

from helpers.datasets.imagescope import parse_outlines
from helpers.errors import InputError

PATH = Path("Annotations/one.xml")


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


@pytest.mark.parametrize("outline", [[], [(5, 5)], [(5, 5), (9, 9)], [(5, 5), (9, 5), (7, 5)]])
def test_what_has_no_area_keeps_its_number(outline):
    assert len(parsed(outlines_xml(outline))) == 1


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
