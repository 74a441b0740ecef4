"""PNG, JPEG, WebP and their like: what is converted with one warning, and what is refused."""

import io
import struct
import warnings
import zlib

import imagecodecs
import numpy as np
import pytest
from made_pictures import noise, smooth
from PIL import Image, ImageOps

from helpers.errors import InputError, InputWarning
from helpers.pictures.plain_image import open_plain

IMAGE = noise(20, 30)


def opened(path) -> np.ndarray:
    picture = open_plain(path)
    assert picture.name == str(path)
    return picture.read(0, 0, picture.height, picture.width)


def warned(path, words: str) -> np.ndarray:
    with pytest.warns(InputWarning) as caught:
        pixels = opened(path)
    assert len(caught) == 1
    assert str(caught[0].message).startswith(f"{path}: found ")
    assert words in str(caught[0].message)
    return pixels


def save(path, image, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "a.webp", "a.jp2"])
def test_lossless_formats_give_what_was_written(tmp_path, name):
    options = {"a.webp": {"lossless": True}}.get(name, {})
    assert np.array_equal(opened(save(tmp_path / name, IMAGE, **options)), IMAGE)


@pytest.mark.parametrize("name", ["a.jpg", "b.webp"])
def test_lossy_formats_give_nearly_what_was_written(tmp_path, name):
    pixels = opened(save(tmp_path / name, smooth(), quality=95))
    assert np.abs(pixels.astype(int) - smooth()).max() <= 8


def test_the_name_does_not_decide(tmp_path):
    save(tmp_path / "a.png", IMAGE).rename(tmp_path / "a.jpg")
    assert np.array_equal(opened(tmp_path / "a.jpg"), IMAGE)


def test_grey_is_taken_with_a_warning(tmp_path):
    pixels = warned(save(tmp_path / "a.png", IMAGE[..., 0]), "shows no stain")
    assert np.array_equal(pixels, IMAGE[..., [0, 0, 0]])


def test_a_palette_is_looked_up(tmp_path):
    few = Image.fromarray(IMAGE).quantize(200)
    pixels = warned(save(tmp_path / "a.png", few), "a palette")
    assert np.array_equal(pixels, np.asarray(few.convert("RGB")))


def test_alpha_is_kept_unless_all_is_there(tmp_path):
    alpha = noise(20, 30, 1)
    pixels = warned(save(tmp_path / "a.png", np.dstack([IMAGE, alpha])), "transparent")
    assert np.array_equal(pixels, np.dstack([IMAGE, alpha]))
    assert np.array_equal(opened(save(tmp_path / "b.png", np.dstack([IMAGE, np.full_like(alpha, 255)]))), IMAGE)


def test_a_transparent_colour_is_alpha(tmp_path):
    pixels = warned(save(tmp_path / "a.png", IMAGE, transparency=tuple(map(int, IMAGE[0, 0]))), "transparent")
    assert pixels[0, 0, 3] == 0
    assert np.array_equal(pixels[..., :3], IMAGE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_picture_upright(tmp_path, orientation):
    image = Image.fromarray(IMAGE)
    image.getexif()[0x0112] = orientation
    path = save(tmp_path / "a.png", image, exif=image.getexif())
    pixels = opened(path) if orientation == 1 else warned(path, "EXIF")
    assert np.array_equal(pixels, np.asarray(ImageOps.exif_transpose(image)))
    assert (orientation > 4) == (pixels.shape != IMAGE.shape)


@pytest.mark.parametrize("highest", [65535, 4095])
def test_sixteen_bits_go_by_their_range(tmp_path, highest):
    # Of a 12-bit picture Pillow would keep the upper 8 of 16 bits, which is nearly black.
    samples = (IMAGE.astype(np.uint32) * highest // 255).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(samples))
    assert np.abs(warned(tmp_path / "a.png", f"{highest} is taken as white").astype(int) - IMAGE).max() <= 1


def test_sixteen_bits_are_turned_upright_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    data = io.BytesIO()
    Image.fromarray(IMAGE).save(data, "PNG", exif=exif)
    chunk = data.getvalue()[data.getvalue().index(b"eXIf") - 4 :]
    chunk = chunk[: struct.unpack(">I", chunk[:4])[0] + 12]
    deep = imagecodecs.png_encode(IMAGE.astype(np.uint16) * 257)
    (tmp_path / "a.png").write_bytes(deep[:33] + chunk + deep[33:])  # after the head
    assert np.array_equal(warned(tmp_path / "a.png", "turned upright"), np.rot90(IMAGE, -1))


@pytest.mark.parametrize("alpha", [False, True])
def test_the_range_of_alpha_does_not_count(tmp_path, alpha):
    samples = np.dstack([IMAGE.astype(np.uint16) * 16, np.full((20, 30, int(alpha)), 65535, np.uint16)])
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(samples))
    assert np.abs(warned(tmp_path / "a.png", "4095 is taken").astype(int) - IMAGE).max() <= 1


def test_a_picture_of_another_shape_is_read(tmp_path):
    long = np.tile(IMAGE[:10], (1, 3334, 1))[:, :100_000]
    assert np.array_equal(opened(save(tmp_path / "a.png", long)), long)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.fromarray(IMAGE).convert("CMYK"), "found CMYK, whose colours only a profile would tell"),
        (Image.fromarray(IMAGE[..., 0] > 100), "one channel of bool"),
        (Image.fromarray(IMAGE[..., 0].astype(np.uint16)), "one channel of uint16"),
        (Image.fromarray(np.repeat(IMAGE[..., 0], 20, 1)), "one channel of flat areas"),
    ],
)
def test_what_would_be_a_guess_is_refused(tmp_path, image, words):
    path = save(tmp_path / ("a.jpg" if image.mode == "CMYK" else "a.png"), image)
    with pytest.raises(InputError, match=words) as caught:
        open_plain(path)
    assert str(caught.value).startswith(f"{path}: expected ")


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_an_animation_is_refused(tmp_path, name):
    frames = [Image.fromarray(IMAGE), Image.fromarray(255 - IMAGE)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="found 2 frames of an animation; save one alone"):
        open_plain(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.gif", "a.jp2"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_file_that_was_cut_is_refused(tmp_path, name, share):
    data = save(tmp_path / name, noise(200, 300)).read_bytes()
    (tmp_path / name).write_bytes(data[: max(8, int(share * len(data)))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"expected a (whole picture, found a damaged one|picture or a slide)"):
            open_plain(tmp_path / name)


@pytest.mark.parametrize("data", [b"some words", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"PK\3\4", bytes(1000)])
def test_what_is_no_picture_is_refused(tmp_path, data):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match="expected a picture or a slide, found no format that can be read"):
        open_plain(tmp_path / "a.png")


@pytest.mark.parametrize("side", [10_001, 20_000, 2_000_000])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(bomb)
    with pytest.raises(InputError, match=r"expected at most 100,000,000 pixels, .* save it as tiled TIFF"):
        open_plain(tmp_path / "a.png")


@pytest.mark.parametrize(("dpi", "scale"), [(101600, 0.25), (72, None), (300, None)])
@pytest.mark.parametrize("name", ["a.png", "a.bmp"])
def test_dots_an_inch_are_a_scale_if_they_can_be_one(tmp_path, name, dpi, scale):
    picture = open_plain(save(tmp_path / name, IMAGE, dpi=(dpi, dpi)))
    assert picture.um_per_px == (scale and pytest.approx(scale, rel=1e-4))
    assert "(dpi)" in picture.scale_source


def test_without_dots_an_inch_there_is_no_scale(tmp_path):
    picture = open_plain(save(tmp_path / "a.png", IMAGE))
    assert (picture.um_per_px, picture.scale_source) == (None, "")


def test_a_telephone_s_second_picture_is_left_out(tmp_path):
    buffer = io.BytesIO()
    first, second = (Image.fromarray(image) for image in (smooth(), 255 - smooth()))
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=95)
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    assert np.abs(opened(tmp_path / "a.jpg").astype(int) - smooth()).max() <= 8
