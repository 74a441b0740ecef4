"""What a TIFF says of its scale, in every dress in which it does."""

import numpy as np
import pytest
import tifffile
from made_pictures import write_ome

from helpers.pictures.scale_tags import UNITS, read_ome_scale, read_tiff_scales
from helpers.pictures.told_scale import choose_scale

IMAGE = np.zeros((64, 64, 3), np.uint8)


def scale_of(path) -> tuple[float | None, str]:
    with tifffile.TiffFile(path) as file:
        return choose_scale(read_tiff_scales(file, file.pages[0]))


def write(path, **options):
    tifffile.imwrite(path, IMAGE, photometric="rgb", **{"metadata": None, **options})
    return path


@pytest.mark.parametrize(
    ("unit", "density"), [("inch", 101_600), ("centimeter", 40_000), ("millimeter", 4000), ("micrometer", 4)]
)
def test_tiff_resolution_is_read_with_its_unit(tmp_path, unit, density):
    path = write(tmp_path / "a.tif", resolution=(density, density), resolutionunit=unit)
    assert scale_of(path) == (pytest.approx(0.25), "0.25 um/px (TIFF resolution)")


def test_a_screen_s_resolution_is_no_scale(tmp_path):
    path = write(tmp_path / "a.tif", resolution=(72, 72), resolutionunit="inch")
    assert scale_of(path) == (None, "352.8 um/px (TIFF resolution)")


def test_a_resolution_without_a_unit_is_no_scale(tmp_path):
    path = write(tmp_path / "a.tif", resolution=(40_000, 40_000), resolutionunit="none")
    assert scale_of(path) == (None, "no number (TIFF resolution without a unit)")


@pytest.mark.parametrize("value", [(0, 1), (0, 0), (40_000, 0)])
def test_a_resolution_of_nothing_is_no_scale(tmp_path, value):
    path = write(tmp_path / "a.tif", resolution=(40_000, 40_000), resolutionunit="centimeter")
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in ("XResolution", "YResolution"):
            file.pages[0].tags[tag].overwrite(value)
    assert scale_of(path)[0] is None


@pytest.mark.parametrize("unit", ["um", r"\u00B5m", "micron", "microns", "micrometer"])
def test_imagej_tells_its_unit_in_its_own_words(tmp_path, unit):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, imagej=True, metadata={"unit": unit}, resolution=(4, 4))
    assert scale_of(tmp_path / "a.tif") == (0.25, "0.25 um/px (ImageJ's unit)")


@pytest.mark.parametrize("unit", ["pixel", "", "furlong"])
def test_imagej_s_pixels_are_no_scale(tmp_path, unit):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, imagej=True, metadata={"unit": unit}, resolution=(4, 4))
    assert scale_of(tmp_path / "a.tif")[0] is None


@pytest.mark.parametrize("text", ["MPP = 0.2527", "MPP=0.2527", "AppMag = 40|MPP = 0.2527|Left = 3"])
def test_aperio_s_mpp_goes_before_the_resolution(tmp_path, text):
    options = {"resolution": (72, 72), "resolutionunit": "inch", "description": f"Aperio Image Library|{text}"}
    assert scale_of(write(tmp_path / "a.tif", **options)) == (0.2527, "0.2527 um/px (Aperio's MPP)")


@pytest.mark.parametrize("text", ["MPP = 0", "MPP = nan", "MPP = x", "MPP = ", "MPP = -0.25", "MPP = 1e400"])
def test_aperio_s_mpp_may_be_none(tmp_path, text):
    assert scale_of(write(tmp_path / "a.tif", description=f"Aperio Image Library|{text}"))[0] is None


@pytest.mark.parametrize(
    ("size", "unit"),
    [(0.25, "µm"), (0.25, None), (250, "nm"), (2.5e-4, "mm"), (2.5e-5, "cm"), (2.5e-7, "m"), (2500, "Å")]
    + [(250_000, "pm"), (0.25 / 25400, "in"), (0.25 / 25.4, "thou"), (0.25 * 72 / 25400, "pt")],
)
def test_ome_s_physical_size_is_read_with_its_unit(tmp_path, size, unit):
    sizes = {"PhysicalSizeX": size, "PhysicalSizeY": size}
    if unit:
        sizes |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    write_ome(tmp_path / "a.ome.tif", IMAGE, levels=1, **sizes)
    assert scale_of(tmp_path / "a.ome.tif") == (pytest.approx(0.25), "0.25 um/px (OME's PhysicalSize)")


def test_ome_knows_lengths_alone():
    assert UNITS.keys().isdisjoint({"pixel", "reference frame", ""})
    prefixes = ["Y", "Z", "E", "P", "T", "G", "M", "k", "h", "da", "", *"dcmµnpfazy"]
    assert UNITS.keys() >= {f"{prefix}m" for prefix in prefixes}
    assert UNITS.keys() >= {"Å", "thou", "li", "in", "ft", "yd", "mi", "ua", "ly", "pc", "pt"}
    assert [UNITS[unit] for unit in ("m", "km", "mm", "in", "li", "mi")] == [
        1e6,
        1e9,
        1e3,
        25400,
        25400 / 12,
        1609344000,
    ]


@pytest.mark.parametrize(
    "pixels",
    ['PhysicalSizeX="0.25" PhysicalSizeXUnit="pixel"', 'PhysicalSizeX="x"', 'PhysicalSizeX="0"', "", 'SizeX="64"'],
)
def test_ome_may_tell_none(pixels):
    told = read_ome_scale(f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Pixels {pixels}/></OME>')
    assert choose_scale([told] if told else [])[0] is None


def test_one_side_of_ome_s_two_is_enough():
    told = read_ome_scale('<?xml version="1.0" encoding="UTF-8"?><OME><Pixels PhysicalSizeX="0.5"/></OME>')
    assert told[:2] == (0.5, 0.5)


@pytest.mark.parametrize("xml", ["", "<OME>", '<!DOCTYPE a [<!ENTITY b "c">]><OME>&b;</OME>', "\0"])
def test_xml_that_is_damaged_or_an_attack_tells_nothing(xml):
    assert read_ome_scale(xml) is None
