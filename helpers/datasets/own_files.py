"""Reading one's own data: colour pictures, and masks of any usual sort, or one message about what is wrong."""

import csv
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.datasets.published_files import list_folder, read_bytes, read_matlab
from helpers.errors import InputError, in_a_line
from helpers.paths import as_path

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
MASKS = (".png", ".tif", ".tiff", ".bmp", ".mat")  # JPEG blurs ids
ID_MODES = ("1", "L", "I", "I;16", "I;16B", "F")  # Pillow's names of one channel without a palette
SMALLEST = 64  # pixels of a picture's shorter side
SHOWN = 5  # names in a message
COLOUR_MODES = ("RGB", "RGBA", "P")


@dataclass(frozen=True)
class Pair:
    """A picture and what belongs to it."""

    picture: Path
    labels: Path
    kinds: Path | None
    tissue: str
    group: str
    size: tuple[int, int]  # height and width of the picture in the file


def find_by_stem(folder: Path, suffixes: tuple[str, ...], folders: bool = False) -> dict[str, Path]:
    """List the files of a folder by their names without suffix, in order; an InputError where a name comes twice.

    Args:
        folder: where to look, not in the folders within.
        suffixes: which files count, in small letters.
        folders: list the folders in it as well, by their names.
    """
    found = {}
    for path in list_folder(folder):
        inside = path.is_dir()
        if folders and path.name != "__MACOSX" if inside else path.suffix.lower() in suffixes:
            stem = path.name if inside else path.stem
            if stem in found:
                raise InputError(f"{path}: found {found[stem].name} of the same name beside it; remove one of them")
            found[stem] = path
    if not found:
        raise InputError(
            f"{folder}: found no file that ends in {', '.join(suffixes)}, expected some; give their folder"
        )
    return found


def find_pairs(images: Path, masks: Path, kinds: Path | None, group_pattern: str | None, tissue: str) -> list[Pair]:
    """Match the pictures of a folder with the masks, and the kinds if there are any, of the same names.

    Arguments and errors are those of `pairs.convert_pairs`.

    Returns:
        a pair for each picture, in order of name.
    """
    pictures, labels = find_by_stem(images, PICTURES), find_by_stem(masks, MASKS, folders=True)
    _match(images, pictures, masks, labels.keys())
    of_kind = {} if kinds is None else find_by_stem(kinds, MASKS[:-1])
    if of_kind:
        _match(images, pictures, kinds, of_kind.keys())
    tissues = _read_tissues(as_path(tissue)) if tissue.lower().endswith(".csv") else dict.fromkeys(pictures, tissue)
    if missing := pictures.keys() - tissues.keys():
        raise InputError(f"{tissue}: found no tissue of {_listed(missing)}, expected one for each picture; add it")
    pairs = []
    for stem, path in pictures.items():
        size = picture_size(path)
        if min(size) < SMALLEST:
            raise InputError(
                f"{path}: found {size[0]} x {size[1]} pixels, expected {SMALLEST} x {SMALLEST} at least; leave it out"
            )
        pairs.append(Pair(path, labels[stem], of_kind.get(stem), tissues[stem], _group(stem, group_pattern), size))
    return pairs


def _match(images: Path, pictures: Iterable[str], masks: Path, labels: Iterable[str]) -> None:
    """Refuse pictures without a mask and masks without a picture."""
    lonely = set(pictures) - set(labels), set(labels) - set(pictures)
    if any(lonely):
        found = [
            f"{len(names)} in {folder} without one in {other} ({_listed(names)})"
            for names, folder, other in zip(lonely, (images, masks), (masks, images), strict=True)
            if names
        ]
        raise InputError(f"{masks}: found {' and '.join(found)}, expected a mask of each picture's name; rename them")


def _listed(names: Iterable[str]) -> str:
    """List the first names, in order."""
    names = sorted(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _group(stem: str, pattern: str | None) -> str:
    r"""Name the source of a picture.

    >>> _group("07_3", r"^\d+"), _group("slide B, 2", r"slide (\w)"), _group("07_3", None)
    ('07', 'B', '07_3')
    """
    if pattern is None:
        return stem
    try:
        match = re.search(pattern, stem)
    except re.error as error:
        raise InputError(f"group pattern {pattern!r}: expected a regular expression, found {error}; mend it") from None
    name = match and match.group(1 if match.re.groups else 0)
    if not name:
        raise InputError(f"group pattern {pattern!r}: found nothing in {stem!r}, expected a name in each; mend it")
    return name


def _read_tissues(path: Path) -> dict[str, str]:
    rows = list(csv.DictReader(read_bytes(path).decode("utf-8-sig", "replace").splitlines()))
    if not rows or not {"image", "tissue"} <= rows[0].keys():
        raise InputError(f"{path}: expected a table with the columns image and tissue, found none; write its head so")
    return {row["image"]: row["tissue"] for row in rows if row["tissue"]}


def picture_size(path: Path) -> tuple[int, int]:
    """Read the height and width of a picture without its pixels, or raise an InputError."""
    with _opened(path, COLOUR_MODES, "a colour picture") as image:
        return image.size[::-1]


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as `(H, W, 3)` uint8 RGB, without its transparency, or raise an InputError."""
    with _opened(path, COLOUR_MODES, "a colour picture") as image:
        return np.asarray(image.convert("RGB"))


def read_labels(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Read where nuclei are: a picture of ids or of 0 and 255, HoVer-Net's `.mat`, or a folder of a mask a nucleus.

    Args:
        path: the file or the folder. Of two masks of a folder that overlap, the first in order of name keeps pixels.
        shape: height and width of the picture, which must be theirs.

    Returns:
        the values `(H, W)` int32 as they are, 0 where no nucleus is, of a folder counted from 1; and the kinds
        `(H, W)` int32 of a `.mat` that has a `type_map`, else None.

    Raises:
        InputError: unreadable, of another size, of colours, or of other values than whole numbers from 0.
    """
    if path.is_dir():
        values = np.zeros(shape, np.int32)
        for number, mask in enumerate(find_by_stem(path, MASKS[:-1]).values(), 1):
            single = read_ids(mask, shape)
            if len(np.unique(single[single > 0])) > 1:
                raise InputError(f"{mask}: found several values above 0, expected the mask of one nucleus; split it")
            values[(single > 0) & (values == 0)] = number
        return values, None
    if path.suffix.lower() != ".mat":
        return read_ids(path, shape), None
    maps = read_matlab(path)
    if "inst_map" not in maps:
        keys = ", ".join(key for key in maps if not key.startswith("__")) or "nothing"
        raise InputError(f"{path}: found {keys}, expected inst_map, as HoVer-Net writes it; write it so")
    kinds = _check(path, maps["type_map"], shape) if "type_map" in maps else None
    return _check(path, maps["inst_map"], shape), kinds


def read_ids(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read a picture of one channel as `(H, W)` int32, or raise an InputError."""
    with _opened(path, ID_MODES, "one channel of ids, or of 0 and 255") as image:
        values = np.asarray(image)
    return _check(path, values, shape)


@contextmanager
def _opened(path: Path, modes: tuple[str, ...], expected: str) -> Iterator[Image.Image]:
    """Open a picture while the block runs; what fails in it, for pixels are decoded late, is the file's fault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # Pillow refuses what is twice as large
            with Image.open(path) as image:
                if getattr(image, "n_frames", 1) > 1:
                    raise InputError(f"{path}: found {image.n_frames} pages, expected {expected}; save one alone")
                if image.mode not in modes:
                    found = f"{image.mode} ({len(image.getbands())} channels)"
                    raise InputError(f"{path}: found {found}, expected {expected}; convert it")
                yield image
    except InputError:
        raise
    except Exception as error:  # on a damaged file Pillow fails in a dozen ways
        raise InputError(
            f"{path}: found no picture that can be read ({in_a_line(error)[:160]}); save it again"
        ) from None


def _check(path: Path, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if values.shape != shape:
        found, expected = (" x ".join(map(str, one)) for one in (values.shape, shape))
        raise InputError(f"{path}: found {found} pixels, expected {expected} as its picture; give the masks of it")
    if values.dtype.kind not in "buif" or not ((values >= 0) & (values < 2**31) & (values == np.floor(values))).all():
        raise InputError(f"{path}: found other values than ids, expected whole numbers from 0; save it again")
    return values.astype(np.int32)
