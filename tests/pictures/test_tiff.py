"""TIFF of any sort that holds one colour picture gives the pixels that were written; what holds none is refused."""

import logging
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
import pytest
import tifffile
from made_pictures import halved, noise, smooth, write_aperio, write_ome, write_pyramid
from PIL import Image

from helpers.errors import InputError, InputWarning
from helpers.pictures.picture import shrink_area
from helpers.pictures.tiff import TiffPicture, is_tiff

IMAGE = noise()
HEIGHT, WIDTH = IMAGE.shape[:2]
RECTANGLES = [(0, 0, HEIGHT, WIDTH), (0, 0, 1, 1), (HEIGHT - 1, WIDTH - 1, 1, 1), (63, 63, 2, 2), (10, 120, 100, 83)]

KINDS = {
    "one piece": {},
    "strips": {"rowsperstrip": 7, "compression": "lzw"},
    "one strip": {"rowsperstrip": HEIGHT, "compression": "zlib"},
    "tiles": {"tile": (64, 48)},
    "deflated tiles": {"tile": (64, 64), "compression": "zlib", "predictor": True},
    "planes": {"planarconfig": "separate"},
    "planes in strips": {"planarconfig": "separate", "rowsperstrip": 11, "compression": "zlib"},
    "planes in tiles": {"planarconfig": "separate", "tile": (64, 64), "compression": "lzw"},
    "BigTIFF": {"bigtiff": True, "tile": (64, 64)},
    "big-endian": {"byteorder": ">", "rowsperstrip": 9, "compression": "zlib"},
    "JPEG 2000": {"tile": (64, 64), "compression": "jpeg2000"},
    "zstd": {"tile": (64, 64), "compression": "zstd"},
    "PNG": {"tile": (64, 64), "compression": "png"},
}


def write(path, kind: str, image: np.ndarray = IMAGE) -> None:
    options = dict(KINDS[kind])
    writer = {name: options.pop(name) for name in ("bigtiff", "byteorder") if name in options}
    stored = np.moveaxis(image, -1, 0) if "planarconfig" in options else image
    with tifffile.TiffWriter(path, **writer) as file:
        file.write(stored, photometric="rgb", metadata=None, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_each_rectangle_is_what_was_written(tmp_path, kind):
    write(tmp_path / "a.tif", kind)
    assert is_tiff(tmp_path / "a.tif")
    with TiffPicture(tmp_path / "a.tif") as picture:
        assert (picture.height, picture.width) == (HEIGHT, WIDTH)
        for top, left, height, width in RECTANGLES:
            assert np.array_equal(
                picture.read(top, left, height, width), IMAGE[top : top + height, left : left + width]
            )
        assert np.array_equal(picture.shrink(8), shrink_area(IMAGE, 8))


@pytest.mark.parametrize("kind", ["one piece", "big-endian", "planes in tiles", "tiles"])
def test_sixteen_bits_are_scaled(tmp_path, kind):
    write(tmp_path / "a.tif", kind, IMAGE.astype(np.uint16) * 257)
    with (
        pytest.warns(InputWarning, match="65535 is taken as white") as caught,
        TiffPicture(tmp_path / "a.tif") as picture,
    ):
        assert np.array_equal(picture.read(3, 5, 90, 70), IMAGE[3:93, 5:75])
    assert len(caught) == 1


def test_sixteen_bits_go_by_what_the_file_tells(tmp_path):
    dark = IMAGE.astype(np.uint16)  # the lower 8 of 12 bits
    tifffile.imwrite(tmp_path / "a.ome.tif", dark, photometric="rgb", metadata={"axes": "YXS", "SignificantBits": 12})
    with pytest.warns(InputWarning, match="4095 is taken as white"), TiffPicture(tmp_path / "a.ome.tif") as picture:
        assert picture.read(0, 0, HEIGHT, WIDTH).max() == round(255 * 255 / 4095)


def test_fractions_are_scaled(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", (IMAGE / 255).astype(np.float32), photometric="rgb")
    with pytest.warns(InputWarning, match="fractions"), TiffPicture(tmp_path / "a.tif") as picture:
        assert np.array_equal(picture.read(0, 0, HEIGHT, WIDTH), IMAGE)


@pytest.mark.parametrize("white", ["minisblack", "miniswhite"])
def test_grey_is_repeated(tmp_path, white):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE[..., 0], photometric=white)
    expected = IMAGE[..., [0, 0, 0]] if white == "minisblack" else 255 - IMAGE[..., [0, 0, 0]]
    with pytest.warns(InputWarning, match="shows no stain"), TiffPicture(tmp_path / "a.tif") as picture:
        assert np.array_equal(picture.read(0, 0, HEIGHT, WIDTH), expected)


def test_a_palette_is_looked_up(tmp_path):
    few = Image.fromarray(IMAGE).quantize(200)
    few.save(tmp_path / "a.tif")
    with pytest.warns(InputWarning, match="palette"), TiffPicture(tmp_path / "a.tif") as picture:
        assert np.array_equal(picture.read(0, 0, HEIGHT, WIDTH), np.asarray(few.convert("RGB")))


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_is_kept(tmp_path, kind):
    alpha = noise(HEIGHT, WIDTH, 1)
    stored = IMAGE if kind == "unassalpha" else (IMAGE.astype(int) * alpha / 255).round().astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([stored, alpha]), photometric="rgb", extrasamples=[kind])
    with pytest.warns(InputWarning, match="alpha"), TiffPicture(tmp_path / "a.tif") as picture:
        pixels = picture.read(0, 0, HEIGHT, WIDTH)
    assert np.array_equal(pixels[..., 3:], alpha)
    opaque = alpha[..., 0] > 200
    assert np.abs(pixels[..., :3].astype(int) - IMAGE)[opaque].max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (10, 10_000), (10_000, 10)])
@pytest.mark.parametrize("kind", ["one piece", "strips", "tiles", "planes in tiles"])
def test_pictures_of_any_shape_are_read(tmp_path, kind, shape):
    image = noise(*shape)
    write(tmp_path / "a.tif", kind, image)
    with TiffPicture(tmp_path / "a.tif") as picture:
        assert np.array_equal(picture.read(0, 0, *shape), image)
        assert np.array_equal(picture.shrink(16), shrink_area(image, 16))


# Pyramids.


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"compression": "zlib"}])
def test_a_pyramid_is_shrunk_from_its_own_levels(tmp_path, options):
    levels = write_pyramid(tmp_path / "a.tif", IMAGE, **options)
    with TiffPicture(tmp_path / "a.tif") as picture:
        assert picture.sizes == [level.shape[:2] for level in levels]
        assert np.array_equal(picture.read_level(2, 1, 2, 30, 40), levels[2][1:31, 2:42])
        small = picture.shrink(4)
        assert small.shape == (38, 51, 3)  # the writer's level leaves out what is less than a square
        assert np.array_equal(small[:37, :50], levels[2])


def test_all_levels_of_an_ome_pyramid_are_seen(tmp_path):
    image = noise(256, 320)
    sizes = {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 2.5e-4, "PhysicalSizeYUnit": "mm"}
    write_ome(tmp_path / "a.ome.tif", image, **sizes)
    with TiffPicture(tmp_path / "a.ome.tif") as picture:
        assert picture.sizes == [(256, 320), (128, 160), (64, 80)]
        assert picture.um_per_px == pytest.approx(0.25)
        assert picture.scale_source == "0.25 um/px (OME's PhysicalSize)"
        assert np.array_equal(picture.read(100, 7, 130, 200), image[100:230, 7:207])
        assert np.array_equal(picture.shrink(4), halved(halved(image)))


def test_a_level_of_another_shape_is_not_taken_for_a_smaller_copy(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(IMAGE, photometric="rgb", tile=(64, 64), metadata=None)
        file.write(IMAGE[:60, :50], photometric="rgb", tile=(64, 64), metadata=None, subfiletype=1)  # a label
    with TiffPicture(tmp_path / "a.tif") as picture:
        assert np.array_equal(picture.shrink(2), shrink_area(IMAGE, 2))


def test_threads_read_at_once(tmp_path):
    write_pyramid(tmp_path / "a.tif", IMAGE, compression="zlib")
    places = [(top, left) for top in range(0, 130, 9) for left in range(0, 180, 13)]
    with TiffPicture(tmp_path / "a.tif") as picture, ThreadPoolExecutor(8) as pool:
        for (top, left), part in zip(places, pool.map(lambda place: picture.read(*place, 20, 23), places), strict=True):
            assert np.array_equal(part, IMAGE[top : top + 20, left : left + 23])


# YCbCr, which no reader may hand out as RGB.


def test_jpeg_is_read_as_rgb(tmp_path):
    image = smooth(128, 192)
    write_pyramid(tmp_path / "a.tif", image, compression="jpeg", compressionargs={"level": 95})
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.YCBCR
    with TiffPicture(tmp_path / "a.tif") as picture:
        assert np.abs(picture.read(0, 0, 128, 192).astype(int) - image).max() <= 6


ROUNDING = 3  # there and back, each to whole numbers


def ycbcr(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).convert("YCbCr"))


def test_an_aperio_jpeg_2000_slide_of_ycbcr_is_converted(tmp_path):
    write_aperio(tmp_path / "a.svs", ycbcr(smooth()), compression="aperio_jp2000_ycbc", compressionargs={"mct": False})
    with tifffile.TiffFile(tmp_path / "a.svs") as file:
        assert file.pages[0].compression == 33003
        assert np.abs(file.pages[0].asarray().astype(int) - smooth()).max() > 50  # tifffile hands out YCbCr
    with TiffPicture(tmp_path / "a.svs") as picture:
        assert np.abs(picture.read(0, 0, HEIGHT, WIDTH).astype(int) - smooth()).max() <= ROUNDING
        assert (picture.um_per_px, picture.scale_source) == (0.25, "0.25 um/px (Aperio's MPP)")


def test_rgb_by_the_same_number_stays(tmp_path):
    # Bio-Formats writes JPEG 2000 of RGB as 33003.
    write_pyramid(tmp_path / "a.tif", smooth(), compression="aperio_jp2000_ycbc")
    with TiffPicture(tmp_path / "a.tif") as picture:
        assert np.abs(picture.read(0, 0, HEIGHT, WIDTH).astype(int) - smooth()).max() <= ROUNDING


def test_ycbcr_that_is_not_jpeg_is_converted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", ycbcr(smooth()), photometric="ycbcr", compression="zlib", metadata=None)
    with TiffPicture(tmp_path / "a.tif") as picture:
        assert np.abs(picture.read(0, 0, HEIGHT, WIDTH).astype(int) - smooth()).max() <= ROUNDING


def write_channels(path, names, levels: int = 1, **options) -> None:
    """Write red, green and blue into pages of their own, and smaller copies of them."""
    planes, about = np.moveaxis(IMAGE, -1, 0), {"axes": "CYX", "Channel": {"Name": names}} if names else {"axes": "CYX"}
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(planes, photometric="minisblack", metadata=about, subifds=levels - 1, **options)
        for level in range(1, levels):
            small = planes[:, :: 2**level, :: 2**level]
            file.write(small, photometric="minisblack", metadata=None, subfiletype=1, **options)


@pytest.mark.parametrize("names", [["Red", "Green", "Blue"], ["R", "G", "B"]])
@pytest.mark.parametrize("options", [{}, {"tile": (64, 48), "compression": "zlib"}, {"rowsperstrip": 7, "levels": 2}])
def test_channels_that_are_named_after_colours_are_colours(tmp_path, names, options):
    write_channels(tmp_path / "a.ome.tif", names, **options)
    with TiffPicture(tmp_path / "a.ome.tif") as picture:
        for top, left, height, width in RECTANGLES:
            expected = IMAGE[top : top + height, left : left + width]
            np.testing.assert_array_equal(picture.read(top, left, height, width), expected)
        if "levels" in options:
            assert picture.sizes == [(HEIGHT, WIDTH), ((HEIGHT + 1) // 2, (WIDTH + 1) // 2)]
            np.testing.assert_array_equal(picture.read_level(1, 0, 0, 20, 30), IMAGE[:40:2, :60:2])


@pytest.mark.parametrize("names", [None, ["Blue", "Green", "Red"], ["DAPI", "FITC", "Cy5"]])
def test_channels_of_other_names_are_refused_with_a_remedy(tmp_path, names):
    write_channels(tmp_path / "a.ome.tif", names)
    with pytest.raises(InputError, match=r"found channels \(3 x 150 x 203\); save them joined as RGB, if they are red"):
        TiffPicture(tmp_path / "a.ome.tif")


# What is refused.


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (np.stack([IMAGE, IMAGE]), {"photometric": "rgb"}, r"one picture, found pages \(2 x 150 x 203 x 3\)"),
        (np.stack([IMAGE[..., 0]] * 5), {"imagej": True, "metadata": {"axes": "ZYX"}}, "found focal planes"),
        (np.stack([IMAGE[..., 0]] * 3), {"imagej": True, "metadata": {"axes": "CYX"}}, "found channels"),
        (np.stack([IMAGE[..., 0]] * 3), {"ome": True, "metadata": {"axes": "TYX"}}, "found moments"),
        (np.dstack([IMAGE, IMAGE]), {"photometric": "minisblack", "planarconfig": "contig"}, "found 6 channels"),
        (np.dstack([IMAGE, IMAGE[..., 0]]), {"photometric": "separated"}, r"found 4 channels \(SEPARATED\)"),
        (
            np.dstack([IMAGE, IMAGE[..., 0]]),
            {"photometric": "rgb", "extrasamples": ["unspecified"]},
            "found 4 channels",
        ),
        (IMAGE, {"photometric": "cielab"}, r"found 3 channels \(CIELAB\)"),
        (IMAGE[..., 0].astype(np.uint16), {}, "one channel of uint16"),
        (IMAGE[..., 0].astype(np.float32), {}, "one channel of float32"),
        (np.repeat(IMAGE[..., 0], 20, 1), {}, "one channel of flat areas"),
        (IMAGE.astype(np.float32), {"photometric": "rgb"}, "expected values from 0 to 1"),
        (IMAGE.astype(np.int16), {"photometric": "rgb"}, "expected 8 or 16 bits a sample, found int16"),
    ],
)
def test_what_would_be_a_guess_is_refused(tmp_path, image, options, words):
    tifffile.imwrite(tmp_path / "a.tif", image, **options)
    with pytest.raises(InputError, match=words) as caught:
        TiffPicture(tmp_path / "a.tif")
    assert str(caught.value).startswith(f"{tmp_path / 'a.tif'}: expected ")


def test_a_level_without_pixels_is_refused(tmp_path):
    write_aperio(tmp_path / "a.svs", IMAGE)
    with tifffile.TiffFile(tmp_path / "a.svs", mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(0)
    with pytest.raises(InputError, match="a.svs: expected a picture in each level, found one without pixels"):
        TiffPicture(tmp_path / "a.svs")


def test_several_pictures_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for image in (IMAGE, IMAGE[:100, :190]):
            file.write(image, photometric="rgb", metadata=None)
    with pytest.raises(InputError, match="one picture, found 2 of like size"):
        TiffPicture(tmp_path / "a.tif")


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["pyramid", "ome", *KINDS])
def test_a_file_that_was_cut_is_refused_before_hours_of_work(tmp_path, kind, share, caplog):
    path = tmp_path / "a.tif"
    makers = {"pyramid": write_pyramid, "ome": write_ome}
    makers[kind](path, IMAGE) if kind in makers else write(path, kind)
    data = path.read_bytes()
    path.write_bytes(data[: max(8, int(share * len(data)))])
    with pytest.raises(InputError, match=rf"^{path}: expected a (whole )?TIFF, found .* again$"):
        TiffPicture(path)
    assert caplog.records == []  # tifffile's own log says it a second time
    assert logging.getLogger("tifffile").propagate


@pytest.mark.parametrize("kind", ["strips", "deflated tiles", "JPEG 2000", "zstd", "PNG", "planes in tiles"])
def test_damage_within_is_refused_where_it_is_read(tmp_path, kind):
    image = noise(2200, 1100) if "tiles" in kind else noise(2200, 64)
    write(tmp_path / "a.tif", kind, image)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        offset, count = file.pages[0].dataoffsets[-1], file.pages[0].databytecounts[-1]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[offset : offset + count] = bytes(range(1, 256)) * (count // 255) + bytes(count % 255)
    (tmp_path / "a.tif").write_bytes(data)
    with TiffPicture(tmp_path / "a.tif") as picture:
        assert np.array_equal(picture.read(0, 0, 10, 10), image[:10, :10])
        with pytest.raises(InputError, match=r"found pixels that cannot be decoded, from row [\d,]+ and column"):
            picture.read(0, 0, *image.shape[:2])


def test_a_missing_decoder_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.tif", "JPEG 2000")
    monkeypatch.setattr(imagecodecs, "jpeg2k_decode", lambda *a, **k: (_ for _ in ()).throw(ImportError("no jpeg2k")))
    monkeypatch.setitem(tifffile.TIFF.DECOMPRESSORS._codecs, 34712, imagecodecs.jpeg2k_decode)
    with pytest.raises(InputError, match=r"cannot be decoded.*JPEG2000.*no jpeg2k"):
        TiffPicture(tmp_path / "a.tif")
