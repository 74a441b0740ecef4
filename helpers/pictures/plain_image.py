"""Ordinary pictures (PNG, JPEG, WebP and their like), read whole by Pillow."""

import warnings
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageOps

from helpers.errors import InputError, in_a_line, warn
from helpers.pictures.picture import WHOLE_PIXELS, ArrayPicture
from helpers.pictures.samples import GREY, find_white, refuse_labels, to_eight_bits, to_rgb
from helpers.pictures.told_scale import Told, choose_scale

# What is read: no format that runs another program (EPS, PDF), and TIFF is read elsewhere.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "JPEG2000", "PPM")
UM_PER_INCH = 25400
ORIENTATION = 0x0112  # EXIF's tag; 1 is upright
GREY_MODES = ("L", "LA")
COLOUR_MODES = ("RGB", "RGBA", "P", "PA")


def open_plain(path: Path) -> ArrayPicture:
    """Read a picture whole, with one InputWarning that names all that had to be converted.

    Args:
        path: the file.

    Returns:
        RGB, or RGBA where a pixel is transparent; upright as EXIF tells.

    Raises:
        InputError: no picture, damaged, too large to be decoded whole, or a guess to convert.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limit, and what it thinks of EXIF
            with Image.open(path, formats=FORMATS) as image:
                pixels, notes = _read(path, image)
                dpi = image.info.get("dpi")
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(path, "far more") from None
    except Image.UnidentifiedImageError:
        raise InputError(
            f"{path}: expected a picture or a slide, found no format that can be read; save it as PNG, JPEG or TIFF"
        ) from None
    except Exception as error:  # on a damaged file Pillow fails in a dozen ways
        raise InputError(
            f"{path}: expected a whole picture, found a damaged one ({in_a_line(error)[:160]}); copy or save it again"
        ) from None
    if notes:
        warn(f"{path}: found {'; '.join(notes)}")
    told = [Told(*(UM_PER_INCH / side if side else float("nan") for side in map(float, dpi)), "dpi")] if dpi else []
    return ArrayPicture(pixels, str(path), *choose_scale(told))


def _read(path: Path, image: Image.Image) -> tuple[np.ndarray, list[str]]:
    """Give the pixels `(H, W, 3 or 4)` uint8, and what had to be converted."""
    if image.width * image.height > WHOLE_PIXELS:
        raise _too_large(path, f"{image.width:,} x {image.height:,}")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: JPEG of a telephone or camera, the first is the picture
        raise InputError(f"{path}: expected one picture, found {frames} frames of an animation; save one alone")
    if image.mode not in GREY_MODES + COLOUR_MODES:
        if image.mode[0] in "1IF":
            refuse_labels(str(path), np.asarray(image))
        raise InputError(
            f"{path}: expected RGB, grey or a palette, found {image.mode}, whose colours only a profile would tell; "
            "save it as RGB"
        )
    notes = []
    if image.mode in ("L", "P"):
        refuse_labels(str(path), np.asarray(image))
    if image.mode in GREY_MODES:
        notes.append(GREY)
    elif image.mode in ("P", "PA"):
        notes.append("a palette of at most 256 colours: converted to RGB")
    orientation = image.getexif().get(ORIENTATION, 1)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if image.format == "PNG" and _png_depth(path) == 16:  # of which Pillow keeps the upper half, whatever the range
        samples = np.atleast_3d(imagecodecs.png_decode(path.read_bytes()))
        white, note = find_white(str(path), samples[..., : 3 if samples.shape[2] > 2 else 1])
        notes.append(note)
        image = Image.fromarray(to_rgb(to_eight_bits(samples, white)))
    elif image.mode != mode:
        image = image.convert(mode)
    if orientation in range(2, 9):
        notes.append("an EXIF orientation: turned upright")
        image.getexif()[ORIENTATION] = orientation
        image = ImageOps.exif_transpose(image)
    pixels = np.asarray(image)
    if pixels.shape[2] == 4:
        if (pixels[..., 3] == 255).all():
            pixels = pixels[..., :3]
        else:
            notes.append("transparent pixels: laid on white")
    return pixels, notes


def _png_depth(path: Path) -> int:
    """Read the bits a sample, which stand in byte 24 of every PNG."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _too_large(path: Path, found: str) -> InputError:
    return InputError(
        f"{path}: expected at most {WHOLE_PIXELS:,} pixels, for this format is decoded whole, found {found}; save it "
        "as tiled TIFF (vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg), which is read piece by piece"
    )
