"""Slides by OpenSlide: the same pixels as were written, white where nothing was scanned, one sentence for damage."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openslide
import pytest
import tifffile
from made_pictures import noise, smooth, write_aperio
from PIL import Image

from helpers.errors import InputError
from helpers.pictures.slide import SlidePicture

IMAGE = noise(256, 320)


def ycbcr(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).convert("YCbCr"))


def test_each_rectangle_is_what_was_written(tmp_path):
    write_aperio(tmp_path / "a.svs", IMAGE, compression="aperio_jp2000_rgb")
    with SlidePicture(tmp_path / "a.svs") as picture:
        assert picture.sizes == [(256, 320), (128, 160), (64, 80)]
        assert (picture.um_per_px, picture.scale_source) == (0.25, "0.25 um/px (the slide's mpp)")
        for top, left, height, width in [(0, 0, 256, 320), (255, 319, 1, 1), (63, 60, 70, 80)]:
            assert np.array_equal(
                picture.read(top, left, height, width), IMAGE[top : top + height, left : left + width]
            )


@pytest.mark.parametrize("compression", ["jpeg", "aperio_jp2000_ycbc"])
def test_colours_are_right_whatever_the_file_holds(tmp_path, compression):
    image = smooth(256, 256)
    stored, options = (image, {}) if compression == "jpeg" else (ycbcr(image), {"mct": False})
    write_aperio(tmp_path / "a.svs", stored, compression=compression, compressionargs=options)
    with SlidePicture(tmp_path / "a.svs") as picture:
        assert np.abs(picture.read(0, 0, 256, 256).astype(int) - image).max() <= 6
        small = picture.shrink(4)
        assert small.shape == (64, 64, 3)
        assert np.abs(small.astype(int) - smooth(64, 64)).max() <= 8


def test_threads_read_at_once(tmp_path):
    write_aperio(tmp_path / "a.svs", IMAGE, compression="aperio_jp2000_rgb")
    places = [(top, left) for top in range(0, 230, 23) for left in range(0, 290, 29)]
    with SlidePicture(tmp_path / "a.svs") as picture, ThreadPoolExecutor(4) as pool:
        for (top, left), part in zip(places, pool.map(lambda place: picture.read(*place, 20, 23), places), strict=True):
            assert np.array_equal(part, IMAGE[top : top + 20, left : left + 23])


class Scan:
    """A slide of which a part was scanned, as MIRAX tells."""

    dimensions, level_dimensions = (400, 300), ((400, 300), (100, 75))
    properties = {
        openslide.PROPERTY_NAME_MPP_X: "0.2325",
        openslide.PROPERTY_NAME_MPP_Y: "0.2330",
        openslide.PROPERTY_NAME_BOUNDS_X: "40",
        openslide.PROPERTY_NAME_BOUNDS_Y: "20",
        openslide.PROPERTY_NAME_BOUNDS_WIDTH: "320",
        openslide.PROPERTY_NAME_BOUNDS_HEIGHT: "240",
    }

    def read_region(self, place, level, size):
        scan = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
        scan.paste((200, 100, 150, 255), (60, 40, 200, 200))
        scale = (1, 4)[level]
        box = (*place, place[0] + size[0] * scale, place[1] + size[1] * scale)
        return scan.crop(box).resize(size, Image.Resampling.NEAREST)

    def close(self):
        pass


def test_a_slide_is_its_scanned_part_and_what_was_left_out_is_white(tmp_path, monkeypatch):
    monkeypatch.setattr(openslide, "OpenSlide", lambda path: Scan())
    with SlidePicture(tmp_path / "a.mrxs") as picture:
        assert picture.sizes == [(240, 320), (60, 80)]
        assert picture.um_per_px == pytest.approx(0.23275, abs=1e-6)
        pixels = picture.read(0, 0, 240, 320)
        assert (pixels[20:180, 20:160] == (200, 100, 150)).all()
        assert (pixels[:, :20] == 255).all()
        assert (pixels[180:] == 255).all()
        assert np.array_equal(picture.shrink(4), pixels[::4, ::4])


def test_damage_is_named_where_it_was_found(tmp_path):
    write_aperio(tmp_path / "a.svs", IMAGE, compression="jpeg")
    with tifffile.TiffFile(tmp_path / "a.svs") as file:
        offset = file.pages[0].dataoffsets[-1]
    data = bytearray((tmp_path / "a.svs").read_bytes())
    data[offset : offset + 40] = bytes(40)
    (tmp_path / "a.svs").write_bytes(data)
    with SlidePicture(tmp_path / "a.svs") as picture:
        picture.read(0, 0, 64, 64)
        for _ in range(2):  # a later region is not blamed
            with pytest.raises(
                InputError, match="damaged in the 30 x 40 pixels from row 220 and column 270 of level 0"
            ):
                picture.read(220, 270, 30, 40)
            with pytest.raises(InputError, match="from row 220"):
                picture.read(0, 0, 64, 64)
