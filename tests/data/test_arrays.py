"""Arrays read piece by piece, and everything that a file called .npy may turn out to be."""

import io
import os
import pickle

import numpy as np
import pytest
from folds import Bait, write_object_array

from helpers.data.arrays import ArrayFile, load_labels, load_positions
from helpers.errors import InputError

VALUES = np.arange(4 * 3 * 2).reshape(4, 3, 2)
READERS = {
    "array": ArrayFile.open,
    "labels": lambda path: load_labels(path, 4, "tissue names"),
    "positions": lambda path: load_positions(path, 4),
}
reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS)


def saved(values, save=np.save, **options) -> bytes:
    """Give what numpy would write into a file."""
    file = io.BytesIO()
    save(file, values, **options)
    return file.getvalue()


def header(shape: tuple[int, ...], fortran_order: bool = False) -> bytes:
    """Give the header alone of a `.npy` file of float64."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": fortran_order, "shape": shape})
    return file.getvalue()


def refusal(read, path) -> str:
    """Give the message of the InputError, which must be one line that names the file."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.fixture
def path(tmp_path):
    return tmp_path / "images.npy"


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64", "float16", "float32", "float64", ">f4", ">i2"])
def test_rows_are_read_as_they_are(path, dtype):
    np.save(path, VALUES.astype(dtype))
    array = ArrayFile.open(path)
    assert (array.shape, array.dtype, len(array)) == ((4, 3, 2), np.dtype(dtype), 4)
    for start, stop in [(0, 4), (1, 3), (3, 4), (2, 2)]:
        rows = array.read(start, stop)
        assert rows.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(rows, VALUES[start:stop])


def test_rows_are_copies_and_no_memory_map(path):
    np.save(path, VALUES)
    rows = ArrayFile.open(path).read(0, 4)
    assert not isinstance(rows, np.memmap)
    rows[:] = 0
    np.testing.assert_array_equal(np.load(path), VALUES)


def test_file_that_changes_after_it_was_opened(path):
    np.save(path, VALUES)
    array = ArrayFile.open(path)
    os.truncate(path, path.stat().st_size - 1)
    np.testing.assert_array_equal(array.read(0, 3), VALUES[:3])
    assert "cut short" in refusal(lambda _: array.read(3, 4), path)
    path.unlink()
    assert "cannot be read" in refusal(lambda _: array.read(0, 1), path)


@reader
def test_file_that_cannot_be_read(path, read, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    assert "there is no such file" in refusal(read, path)
    path.mkdir()
    assert "cannot be read" in refusal(read, path)
    path.rmdir()
    np.save(path, VALUES)
    monkeypatch.setattr(np, "load", refuse)
    assert "cannot be read (Permission denied); check that it is there and may be read" in refusal(read, path)


@reader
@pytest.mark.parametrize("length", [0, 1, 5, 6, 8, 9, 10, 60, 127, 128, 129, 319])
def test_truncated_file(path, read, length):
    whole = saved(VALUES)
    assert len(whole) == 128 + VALUES.nbytes == 320
    path.write_bytes(whole[:length])
    assert "cut short" in refusal(read, path)


def test_any_damaged_byte_of_a_header_is_refused_or_harmless(path):
    def outcome(read) -> str:
        try:
            read(path)
        except InputError as error:
            return str(error)
        return f"{path}: harmless"

    whole = saved(VALUES)
    for place in range(128):
        for byte in b"\0('{9\xff":
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            outcomes = [outcome(ArrayFile.open), outcome(READERS["labels"])]
            assert all(message.startswith(f"{path}: ") and "\n" not in message for message in outcomes)


@reader
def test_header_that_promises_more_than_any_disk_holds(path, read):
    path.write_bytes(header((10**15,)) + bytes(800))
    refusal(read, path)


@reader
@pytest.mark.parametrize("kind", ["object array", "pickle"])
def test_objects_are_never_unpickled(path, tmp_path, read, kind):
    trap = tmp_path / "trap"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bait(trap)))
    else:
        write_object_array(path, trap)
    # The trap does work.
    value = np.load(path, allow_pickle=True)
    (value if kind == "pickle" else value[0]).close()
    trap.unlink()

    assert "Python objects" in refusal(read, path)
    assert not trap.exists()


@reader
@pytest.mark.parametrize("length", [None, 60, 4])
def test_archive_under_the_name_of_an_array(path, read, length):
    path.write_bytes(saved(VALUES, np.savez)[:length])
    assert "found an archive; unpack it" in refusal(read, path)


@reader
@pytest.mark.parametrize("values", [[1j, 2, 3, 4], np.zeros(4, "M8[s]"), np.zeros(4, "i4,f4")])
def test_other_dtypes(path, read, values):
    np.save(path, values)
    assert f"{np.asarray(values).dtype}" in refusal(read, path)


def test_strings_are_no_numbers(path):
    np.save(path, ["Breast", "Colon"])
    assert "expected numbers or truth values, found dtype <U6" in refusal(ArrayFile.open, path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f8", "<u2", bool])
def test_any_order_of_bytes_and_axes_and_truth_values(path, order, dtype):
    values = np.random.default_rng(0).integers(0, 2 if dtype is bool else 900, (5, 4, 3)).astype(dtype)
    np.save(path, np.asarray(values, order=order))
    read = ArrayFile.open(path).read(1, 4)
    np.testing.assert_array_equal(read, values[1:4])
    assert read.flags.c_contiguous
    assert read.dtype == (np.uint8 if dtype is bool else dtype)


@reader
def test_text_as_objects_is_refused_with_what_helps(path, read):
    np.save(path, np.array(["Breast", None, "Colon", "Colon"], object))
    assert "numpy.save(path, values.astype(str))" in refusal(read, path)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Breast", "Colon", "Bile-duct", "Breast"], ["Breast", "Colon", "Bile-duct", "Breast"]),
        (
            [b"Breast", b"Colon", "Gebärmutter".encode(), b"\xff"],
            ["Breast", "Colon", "Gebärmutter", "\N{REPLACEMENT CHARACTER}"],
        ),
        ([7, 12, 7, 3500], ["7", "12", "7", "3500"]),
        (np.array([1, 2, 3, 255], np.uint8), ["1", "2", "3", "255"]),
    ],
)
def test_labels_become_strings(path, values, expected):
    np.save(path, values)
    labels = load_labels(path, 4, "tissue names")
    assert labels.dtype.kind == "U"
    assert labels.tolist() == expected


@pytest.mark.parametrize("values", [["Breast"] * 3, ["Breast"] * 5, [["Breast"] * 2] * 4, [0.5, 1, 2, 3], "Breast"])
def test_labels_that_do_not_fit(path, values):
    np.save(path, values)
    message = refusal(READERS["labels"], path)
    assert "expected 4 tissue names" in message
    assert f"found shape {np.shape(values)}" in message


def test_positions_are_whole_numbers(path):
    np.save(path, np.array([[0, 0], [0, 256], [744, 0], [65000, 3]], np.uint16))
    positions = load_positions(path, 4)
    assert positions.dtype == np.int64
    assert positions.tolist() == [[0, 0], [0, 256], [744, 0], [65000, 3]]


@pytest.mark.parametrize("values", [[[0, 256]], [[1, 257]], [[1, 2, 3]], [[1.0, 2.0]]])
def test_positions_within_limits(path, values):
    np.save(path, [[1, 256]])
    assert load_positions(path, 1, 1, 256).tolist() == [[1, 256]]
    np.save(path, values)
    with pytest.raises(InputError, match=r"whole numbers from 1 to 256 of shape \(1, 2\)"):
        load_positions(path, 1, 1, 256)


@pytest.mark.parametrize(
    "values", [[[0, 0]] * 3, [[0, 0]] * 5, [[0, 0, 0]] * 4, [0] * 4, [[0, -1]] * 4, [[0.0, 1.0]] * 4, [["0", "1"]] * 4]
)
def test_positions_that_do_not_fit(path, values):
    np.save(path, values)
    message = refusal(READERS["positions"], path)
    assert "whole numbers from 0 of shape (4, 2)" in message
    assert f"found shape {np.shape(values)}" in message


@reader
def test_header_with_an_empty_description_of_the_numbers(path, read):
    text = b"{'descr': (), 'shape': (), 'fortran_order': False}"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    assert "damaged" in refusal(read, path)
