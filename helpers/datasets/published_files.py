"""Reading what was downloaded: folders, images and MATLAB files, or one message about what is wrong with them."""

import io
import re
from pathlib import Path

import cv2
import numpy as np
from scipy.io import loadmat

from helpers.errors import InputError, in_a_line
from helpers.files import unreadable

LOSSLESS = (".tif", ".tiff", ".png")  # as which copies of the published images are kept


def list_folder(folder: Path) -> list[Path]:
    """List a folder in order of name, without hidden files: archives made on a Mac bring one beside each file.

    Raises:
        InputError: there is no such folder, or it cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder}: found no such folder, expected one of the download; Dataset/README.md shows which one to give"
        ) from None
    except OSError as error:
        raise unreadable(folder, error) from None


def find_folder(folder: Path, name: str) -> Path:
    """Give the folder of this name in another, also where capitals, blanks, lines and underscores differ from it."""

    def plain(text: str) -> str:
        return re.sub(r"[ _-]", "", text).lower()

    there = list_folder(folder)
    return next((path for path in there if plain(path.name) == plain(name) and path.is_dir()), folder / name)


def match_files(images: Path, image_suffix: str, labels: Path, label_suffix: str) -> list[tuple[Path, Path]]:
    """Match the images of one folder with the labels of the same stem in another, or in the same.

    Args:
        images: folder of the images.
        image_suffix: theirs, in small letters; images may also be of another of `LOSSLESS`, as copies are.
        labels: folder of the labels.
        label_suffix: theirs, in small letters.

    Returns:
        image and labels, in order of stem.

    Raises:
        InputError: a folder is missing, there are no images, or one file has no partner.
    """
    suffixes = (image_suffix, *(suffix for suffix in LOSSLESS if suffix != label_suffix))
    found_images: dict[str, Path] = {}
    for path in sorted(list_folder(images), key=lambda path: path.suffix.lower() != image_suffix):
        if path.suffix.lower() in suffixes:
            found_images.setdefault(path.stem, path)
    found_labels = {path.stem: path for path in list_folder(labels) if path.suffix.lower() == label_suffix}
    published = {stem: path for stem, path in found_images.items() if path.suffix.lower() == image_suffix}
    if published:  # then a picture of another format without labels is no copy: a mask, say, that lies beside
        found_images = published | {stem: found_images[stem] for stem in found_images.keys() & found_labels.keys()}
    if not found_images:
        there = ", ".join(path.name for path in list_folder(images)[:3]) or "nothing"
        raise InputError(
            f"{images}: found no *{image_suffix} but {there}, expected the images; Dataset/README.md shows which "
            "folder to give"
        )
    for stem in sorted(found_images.keys() ^ found_labels.keys()):
        missing = labels / f"{stem}{label_suffix}" if stem in found_images else images / f"{stem}{image_suffix}"
        there = found_images.get(stem) or found_labels[stem]
        raise InputError(f"{missing}: found no such file, expected the partner of {there}; unpack the download again")
    return [(found_images[stem], found_labels[stem]) for stem in sorted(found_images)]


def read_bytes(path: Path) -> bytes:
    """Read a whole file, or raise an InputError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None


def read_image(path: Path, size: int) -> np.ndarray:
    """Read an image of `size` x `size` pixels as uint8 RGB, or raise an InputError."""
    image = cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    _check_size(path, image.shape[:2], size)
    return image


def read_label_image(path: Path, size: int) -> np.ndarray:
    """Read an image of ids, `size` x `size` pixels, as uint16, or raise an InputError."""
    return check_ids(path, _decode(path, cv2.IMREAD_UNCHANGED), size)


def read_maps(path: Path, names: tuple[str, ...], size: int) -> list[np.ndarray]:
    """Read maps of ids from a MATLAB file up to version 7.2.

    Returns:
        the maps, uint16 `(size, size)`, in the order of `names`.

    Raises:
        InputError: unreadable, without one of the maps, or a map that does not fit.
    """
    found = read_matlab(path)
    if not set(names) <= found.keys():
        keys = ", ".join(key for key in found if not key.startswith("__")) or "nothing"
        raise InputError(f"{path}: found {keys}, expected {' and '.join(names)} as well; unpack the download again")
    return [check_ids(path, found[name], size) for name in names]


def read_matlab(path: Path) -> dict[str, np.ndarray]:
    """Read all variables of a MATLAB file, of version 7.3 (HDF5) where h5py is installed, or raise an InputError."""
    data = read_bytes(path)
    if data[:10] == b"MATLAB 7.3":
        return _read_hdf5(path, data)
    try:
        return loadmat(io.BytesIO(data))
    except Exception as error:  # on a file that is damaged or of another format scipy's reader fails in a dozen ways
        raise InputError(
            f"{path}: found no MATLAB file up to version 7.2 ({in_a_line(error)}), expected one; unpack the download "
            "again"
        ) from None


def _read_hdf5(path: Path, data: bytes) -> dict[str, np.ndarray]:
    try:
        import h5py  # noqa: PLC0415 - an optional package
    except ImportError:
        raise InputError(
            f"{path}: found a MATLAB file of version 7.3, expected one up to 7.2; install h5py, or save it again in "
            "MATLAB with save(..., '-v7')"
        ) from None
    try:
        with h5py.File(io.BytesIO(data)) as file:  # MATLAB counts the first axis fastest, HDF5 the last
            return {name: item[()].T for name, item in file.items() if isinstance(item, h5py.Dataset)}
    except Exception as error:  # of damaged files, in a dozen ways
        raise InputError(
            f"{path}: found a MATLAB file of version 7.3 that cannot be read ({in_a_line(error)}), expected a whole "
            "one; unpack the download again"
        ) from None


def check_ids(path: Path, values: np.ndarray, size: int) -> np.ndarray:
    """Turn ids of any number type, whole numbers from 0 to 65,535, into uint16.

    Raises:
        InputError: another shape than `(size, size)`, or other numbers; the message names `path`.
    """
    _check_size(path, values.shape, size)
    highest = np.iinfo(np.uint16).max
    numbers = values.dtype.kind in "buif"
    if not numbers or not ((values >= 0) & (values <= highest) & (values == np.floor(values))).all():
        raise InputError(
            f"{path}: found other values than ids, expected whole numbers from 0 to {highest}; "
            "unpack the download again"
        )
    return values.astype(np.uint16)


def _decode(path: Path, flag: int) -> np.ndarray:
    """Decode an image from memory: on Windows `cv2.imread` does not find files with names in other alphabets."""
    data = np.frombuffer(read_bytes(path), np.uint8)
    try:
        image = cv2.imdecode(data, flag) if data.size else None
    except cv2.error:  # more pixels than OpenCV allows
        image = None
    if image is None:
        raise InputError(f"{path}: found no image that can be decoded, expected one; unpack the download again")
    return image


def _check_size(path: Path, shape: tuple[int, ...], size: int) -> None:
    if shape != (size, size):
        raise InputError(
            f"{path}: found {' x '.join(map(str, shape))} pixels, expected {size} x {size} as published; "
            "give the original download"
        )
