"""What the tags and descriptions of a TIFF say of the size of its pixels."""

import math
import re

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from tifffile import TiffFile, TiffPage

from helpers.paths import to_number
from helpers.pictures.told_scale import Told

# Micrometres of each unit of length that OME's schema allows (2016-06); `pixel` and `reference frame` have no length.
PREFIXES = {
    "Y": 24,
    "Z": 21,
    "E": 18,
    "P": 15,
    "T": 12,
    "G": 9,
    "M": 6,
    "k": 3,
    "h": 2,
    "da": 1,
    "": 0,
    "d": -1,
    "c": -2,
}
PREFIXES |= {"m": -3, "µ": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24}
UNITS = {f"{prefix}m": 10.0 ** (power + 6) for prefix, power in PREFIXES.items()}
UNITS |= {"Å": 1e-4, "thou": 25.4, "li": 25400 / 12, "in": 25400.0, "ft": 304800.0, "yd": 914400.0, "mi": 1.609344e9}
UNITS |= {"pt": 25400 / 72, "ua": 1.495978707e17, "ly": 9.4607304725808e21, "pc": 3.0856775814913673e22}
# How others write them: a Greek mu for the micro sign, ImageJ's escape, words.
UNITS |= dict.fromkeys(("um", "μm", r"\u00B5m", "micron", "microns", "micrometer", "micrometre"), 1.0)
UNITS |= {"inch": 25400.0, "millimeter": 1e3, "centimeter": 1e4, "nanometer": 1e-3, "Angstrom": 1e-4}
RESOLUTION_UNITS = {2: 25400.0, 3: 1e4, 4: 1e3, 5: 1.0}  # the tag's values: inch, cm, mm, um; 1 is none


def read_tiff_scales(file: TiffFile, page: TiffPage) -> list[Told]:
    """List what a TIFF says of the size of its pixels, the best source first."""
    told = []
    if match := re.search(r"\|\s*MPP\s*=\s*([^|\s]+)", page.description):
        told.append(Told(to_number(match[1]), to_number(match[1]), "Aperio's MPP"))
    if file.is_ome and (found := read_ome_scale(page.description or file.pages.first.description)):
        told.append(found)
    x, y = (_density(page, name) for name in ("XResolution", "YResolution"))
    if math.isnan(x) and math.isnan(y):
        return told
    if file.is_imagej:
        unit = UNITS.get(str((file.imagej_metadata or {}).get("unit", "")), math.nan)
        told.append(Told(unit / x, unit / y, "ImageJ's unit"))
    unit = RESOLUTION_UNITS.get(int(page.tags.valueof("ResolutionUnit", default=2)), math.nan)
    told.append(Told(unit / x, unit / y, f"TIFF resolution{' without a unit' if math.isnan(unit) else ''}"))
    return told


def _density(page: TiffPage, tag: str) -> float:
    """Give pixels a unit; NaN without one or for 0."""
    value = page.tags.valueof(tag)
    try:
        return value[0] / value[1] or math.nan
    except (TypeError, IndexError, ZeroDivisionError):
        return math.nan


def read_ome_scale(xml: str) -> Told | None:
    """Read PhysicalSizeX and PhysicalSizeY of the first image of OME-XML, with their units, or None without them.

    >>> read_ome_scale('<OME><Pixels PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.25"/></OME>')
    Told(x=0.25, y=0.25, source="OME's PhysicalSize")
    """
    try:
        # As bytes: of a str with an XML declaration ElementTree would take the encoding for true.
        tree = ElementTree.fromstring(xml.encode("utf-8", "replace"), forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return None
    pixels = next((element for element in tree.iter() if element.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None or not {"PhysicalSizeX", "PhysicalSizeY"} & pixels.attrib.keys():
        return None
    sides = [
        to_number(pixels.get(f"PhysicalSize{axis}")) * UNITS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"), math.nan)
        for axis in "XY"
    ]
    x, y = (side if not math.isnan(side) else other for side, other in (sides, sides[::-1]))
    return Told(round(x, 9), round(y, 9), "OME's PhysicalSize")
