"""What a file says of its pixels' size, if that can be a microscope's."""

import math

from helpers.pictures.told_scale import Told, choose_scale


def test_the_first_plausible_source_is_taken():
    told = [Told(math.nan, math.nan, "ImageJ's unit"), Told(0.5, 0.5, "OME"), Told(0.25, 0.25, "dpi")]
    assert choose_scale(told) == (0.5, "0.5 um/px (OME)")
    assert choose_scale([]) == (None, "")
