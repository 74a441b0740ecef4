"""Reading and writing `.npy` files piece by piece, so that memory does not grow with the file."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from helpers.errors import InputError, in_a_line
from helpers.files import unreadable


@dataclass(frozen=True)
class ArrayFile:
    """A numeric `.npy` file of which only the header has been read.

    Slices are read with plain reads rather than through a memory map: mapped pages would count as this process's
    resident memory until the system takes them back.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    fortran: bool = False  # first axis fastest: each read then goes through the whole file

    @classmethod
    def open(cls, path: Path) -> "ArrayFile":
        """Read the header of `path`. Object arrays are refused, never unpickled.

        Raises:
            InputError: the file is missing, unreadable, truncated, no `.npy` file, or holds no plain numbers.
        """
        mapped = _load(path, mmap_mode="r")
        if mapped.dtype.kind not in "biuf":
            raise InputError(f"{path}: expected numbers or truth values, found dtype {mapped.dtype}")
        fortran = mapped.ndim > 1 and mapped.flags.f_contiguous and not mapped.flags.c_contiguous
        return cls(path, mapped.shape, mapped.dtype, mapped.offset, fortran)

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read rows `start` to `stop` into fresh memory, in C order and the file's dtype; truth values as uint8.

        Raises:
            InputError: the file has become shorter or unreadable since it was opened.
        """
        if self.fortran:
            values = np.array(_load(self.path, mmap_mode="r")[start:stop], order="C", subok=False)
            return values.view(np.uint8) if values.dtype == bool else values
        row = int(np.prod(self.shape[1:], dtype=np.int64))
        offset = self.offset + start * row * self.dtype.itemsize
        try:
            values = np.fromfile(self.path, self.dtype, count=(stop - start) * row, offset=offset)
        except OSError as error:
            raise unreadable(self.path, error) from None
        if values.size != (stop - start) * row:
            raise InputError(f"{self.path}: has been cut short while it was read; restore it")
        values = values.reshape(stop - start, *self.shape[1:])
        return values.view(np.uint8) if values.dtype == bool else values


def growing(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> BinaryIO:
    """Open a new `.npy` file whose header is written and whose values are to be appended, in C order."""
    file = open(path, "wb")  # noqa: SIM115 - the caller's `with` closes it
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file


def load_labels(path: Path, length: int, kind: str, each: str = "tile") -> np.ndarray:
    """Load strings or integers that describe the tiles, or whatever `each` is, one by one, as `(length,)` str.

    Raises:
        InputError: missing, unreadable, of Python objects, or of another shape; `kind` says what the values are.
    """
    values = _load(path)
    values = values[:, 0] if values.shape == (length, 1) else values  # as a table of one column is saved
    if values.shape != (length,) or values.dtype.kind not in "USiu":
        raise InputError(
            f"{path}: expected {length} {kind} (strings or integers), one for each {each}, "
            f"found shape {values.shape} of {values.dtype}"
        )
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values.astype(str)


def load_positions(path: Path, length: int, lowest: int = 0, highest: int | None = None) -> np.ndarray:
    """Load two numbers of pixels for each tile, such as row and column in its source image: `(length, 2)` int64.

    Raises:
        InputError: unreadable, of another shape, not whole numbers, or not within `lowest` and `highest`.
    """
    values = _load(path)
    fit = values.shape == (length, 2) and values.dtype.kind in "iu" and (values >= lowest).all()
    if not fit or (highest is not None and (values > highest).any()):
        most = "" if highest is None else f" to {highest}"
        raise InputError(
            f"{path}: expected rows and columns, whole numbers from {lowest}{most} of shape ({length}, 2), "
            f"found shape {values.shape} of {values.dtype}"
        )
    return values.astype(np.int64)


def load_known(path: Path, length: int) -> np.ndarray:
    """Load what is known of the nuclei of each tile, their kinds and which is which: `(length, 2)` bool.

    Raises:
        InputError: unreadable, of another shape, or neither truth values nor 0 and 1.
    """
    values = _load(path)
    if values.shape != (length, 2) or values.dtype.kind not in "biu" or not np.isin(values, (0, 1)).all():
        raise InputError(
            f"{path}: expected truth values of shape ({length}, 2), are the kinds of a tile's nuclei known and are its "
            f"nuclei told apart, found shape {values.shape} of {values.dtype}"
        )
    return values.astype(bool)


def _load(path: Path, mmap_mode: str | None = None) -> np.ndarray:
    try:
        with open(path, "rb") as file:
            archive = file.read(2) == b"PK"  # numpy.load would take it for a .npz file, and leave it open
        values = None if archive else np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; Dataset/README.md shows the expected tree") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except Exception as error:  # NumPy reads the header as Python, which fails in a dozen ways
        if "Object arrays" in str(error) or "Python objects" in str(error):
            raise InputError(
                f"{path}: expected numbers or strings, found Python objects, which may hold code and are not read; "
                "save them again, names with numpy.save(path, values.astype(str)), numbers with values.astype(int)"
            ) from None
        raise InputError(
            f"{path}: expected a whole .npy file, found one that is damaged, cut short or of Python objects "
            f"({in_a_line(error)}); download or write it again"
        ) from None
    if values is None:
        raise InputError(f"{path}: expected a .npy file, found an archive; unpack it")
    return values
