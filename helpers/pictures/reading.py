"""Which files are pictures, and which reader opens each."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path

import openslide

from helpers.errors import InputError, in_a_line
from helpers.files import unreadable
from helpers.paths import as_path
from helpers.pictures.picture import Picture
from helpers.pictures.plain_image import open_plain
from helpers.pictures.slide import SlidePicture
from helpers.pictures.tiff import TiffPicture, has_huge_tiles, is_tiff

# Which files of a folder are pictures. A DICOM slide is a file for each level: name one of them.
SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".jp2", ".ppm"),
    *(".tif", ".tiff", ".btf", ".tf8", ".svs", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif", ".czi"),
}


def open_picture(path: Path | str) -> Picture:
    """Open a picture or a slide; what has to be converted is said in one InputWarning.

    OpenSlide opens what it knows as a vendor's slide. All other TIFF goes to tifffile: of an OME-TIFF OpenSlide sees
    one level and no pixel size, and it turns 16 bits and grey into RGB without a word. The rest goes to Pillow.

    Args:
        path: the file; `~` is the home folder.

    Returns:
        the picture, to be closed.

    Raises:
        InputError: missing, unreadable, no picture, damaged, too large to be decoded whole, or a guess to convert.
    """
    path = as_path(path)
    if path.is_dir():
        raise InputError(f"{path}: expected the file of a picture, found a folder; name a file in it")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise InputError(f"{path}: expected a picture, found no such file; check the path") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if empty:
        raise InputError(f"{path}: expected a picture, found a file of 0 bytes; copy it again")
    vendor, failure = openslide.OpenSlide.detect_format(path), ""
    tiff = is_tiff(path)
    if vendor not in (None, "generic-tiff") and not (tiff and has_huge_tiles(path)):
        try:
            return SlidePicture(path)
        except openslide.OpenSlideError as error:  # such as an Aperio file of another codec, which tifffile reads
            failure = in_a_line(error)[:160]
    if tiff:
        return TiffPicture(path)
    if failure:
        raise InputError(f"{path}: expected a whole slide, found what OpenSlide refuses ({failure}); copy it again")
    return open_plain(path)


def list_pictures(sources: Iterable[Path | str] | Path | str) -> list[Path]:
    """List the pictures that files, folders and patterns name, each once, in their order.

    Args:
        sources: a file, a folder (for the pictures that lie in it, in order of name), or a pattern (`*`, `?`, and `**`
            for folders within folders); or several. Of folders and patterns hidden files and other files are left out.

    Returns:
        the paths, files all of them.

    Raises:
        InputError: a path that is not there, or a folder or pattern without a picture.
    """
    found: dict[Path, Path] = {}
    for source in [sources] if isinstance(sources, Path | str) else sources:
        path = as_path(source)
        if path.is_dir():
            listed = _pictures(_entries(path))
        elif os.path.lexists(path) or not glob.has_magic(str(path)):  # a link that leads nowhere stops no others
            if not os.path.lexists(path):
                raise InputError(f"{path}: expected a picture, found no such file or folder; check the path")
            listed = [path]
        else:
            listed = _pictures(map(Path, glob.iglob(str(path), recursive=True)))
        if not listed:
            kind = "folder" if path.is_dir() else "pattern"
            raise InputError(
                f"{path}: expected pictures, found none by this {kind}, whose names end in "
                f"{', '.join(sorted(SUFFIXES))}"
            )
        for path in listed:  # `a.png`, `./a.png` and its absolute path are one; a link has a name of its own
            found.setdefault(Path(os.path.abspath(path)), path)
    return list(found.values())


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise unreadable(folder, error) from None


def _pictures(paths: Iterable[Path]) -> list[Path]:
    """Choose the pictures by their suffixes, in order."""
    return sorted(path for path in paths if path.suffix.lower() in SUFFIXES and path.name[0] != "." and path.is_file())
