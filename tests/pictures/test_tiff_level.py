"""A level of a TIFF decodes what a rectangle touches and no more, and leaves white what the file leaves out."""

import threading

import numpy as np
import pytest
import tifffile
from made_pictures import noise

from helpers.errors import InputError
from helpers.pictures import tiff_level
from helpers.pictures.tiff_level import TiffLevel

IMAGE = noise(256, 320)


@pytest.fixture
def opened(tmp_path):
    """Write and open a TIFF; give its level."""
    files = []

    def write(**options):
        tifffile.imwrite(tmp_path / "a.tif", IMAGE, photometric="rgb", metadata=None, **options)
        files.append(tifffile.TiffFile(tmp_path / "a.tif"))
        return TiffLevel(files[-1].pages[0], "a.tif", threading.Lock())

    yield write
    for file in files:
        file.close()


@pytest.mark.parametrize(
    ("options", "decoded"),
    [
        ({"tile": (64, 64), "compression": "zlib"}, {5, 6, 10, 11}),
        ({"rowsperstrip": 32, "compression": "lzw"}, {2, 3, 4}),
    ],
)
def test_only_what_is_touched_is_decoded_and_once(opened, monkeypatch, options, decoded):
    seen = []
    decode = TiffLevel._decode
    monkeypatch.setattr(TiffLevel, "_decode", lambda self, index: seen.append(index) or decode(self, index))
    level = opened(**options)
    for _ in range(2):
        assert np.array_equal(level.read(70, 20, 75, 50)[:, :, 1], IMAGE[70:145, 20:70, 1])
    assert sorted(seen) == sorted(decoded)


def test_what_the_file_leaves_out_is_white(opened):
    level = opened(tile=(64, 64), compression="zlib")
    level.page.databytecounts = tuple(0 if index == 6 else n for index, n in enumerate(level.page.databytecounts))
    pixels = level.read(0, 0, 256, 320)
    assert (pixels[64:128, 64:128] == 255).all()
    assert np.array_equal(pixels[128:], IMAGE[128:])


def test_a_strip_too_large_to_decode_is_refused_unless_the_system_maps_it(opened, monkeypatch):
    monkeypatch.setattr(tiff_level, "WHOLE_PIXELS", 256 * 320 - 1)
    assert np.array_equal(opened(rowsperstrip=256).read(250, 300, 6, 20), IMAGE[250:, 300:])
    with pytest.raises(InputError, match=r"at most 81,919 pixels, .* found 81,920; save it as tiled TIFF"):
        opened(rowsperstrip=256, compression="lzw")
