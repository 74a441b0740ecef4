"""Folders, images and MATLAB files: read to the value, or refused in one line that names them."""

import sys

import cv2
import numpy as np
import pytest
from published import noise, write_image
from scipy.io import savemat

from helpers.datasets.published_files import (
    check_ids,
    find_folder,
    list_folder,
    match_files,
    read_bytes,
    read_image,
    read_label_image,
    read_maps,
    read_matlab,
)
from helpers.errors import InputError


def refusal(call, *arguments) -> str:
    """Give the message of an InputError, which is one line of three parts."""
    with pytest.raises(InputError) as error:
        call(*arguments)
    message = str(error.value)
    assert "\n" not in message
    assert (": found " in message and ", expected " in message) or ": cannot be read (" in message
    return message


def make(folder, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_a_folder_is_listed_by_name_without_what_a_mac_leaves(tmp_path):
    make(tmp_path, "b", "a", ".DS_Store", "._a")
    assert [path.name for path in list_folder(tmp_path)] == ["a", "b"]


def test_partners_are_matched_by_stem(tmp_path):
    make(tmp_path / "one", "b.TIF", "a.tif", "._a.tif", "notes.txt")
    make(tmp_path / "two", "a.xml", "b.XML")
    pairs = match_files(tmp_path / "one", ".tif", tmp_path / "two", ".xml")
    assert [(image.name, labels.name) for image, labels in pairs] == [("a.tif", "a.xml"), ("b.TIF", "b.XML")]


@pytest.mark.parametrize(
    ("images", "labels", "missing", "there"),
    [
        (["a.tif", "b.tif"], ["a.xml"], "two/b.xml", "one/b.tif"),
        (["a.tif"], ["a.xml", "b.xml"], "one/b.tif", "two/b.xml"),
    ],
)
def test_a_missing_partner_is_named(tmp_path, images, labels, missing, there):
    make(tmp_path / "one", *images)
    make(tmp_path / "two", *labels)
    message = refusal(match_files, tmp_path / "one", ".tif", tmp_path / "two", ".xml")
    expected = f"{tmp_path / missing}: found no such file, expected the partner of {tmp_path / there}; unpack"
    assert message.startswith(expected)


def test_a_folder_without_images_is_named(tmp_path):
    make(tmp_path, "a.xml")
    message = refusal(match_files, tmp_path, ".tif", tmp_path, ".xml")
    assert message.startswith(f"{tmp_path}: found no *.tif but a.xml, expected the images; Dataset/README.md")


@pytest.mark.parametrize("name", ["Tissue Images", "Tissue_Images", "tissue-images", "TissueImages"])
def test_a_folder_is_found_by_its_words(tmp_path, name):
    (tmp_path / name).mkdir()
    assert find_folder(tmp_path, "Tissue Images") == tmp_path / name


def test_a_folder_that_is_not_there_keeps_its_name(tmp_path):
    make(tmp_path, "TissueImages")  # a file
    assert find_folder(tmp_path, "Tissue Images") == tmp_path / "Tissue Images"


def test_copies_of_images_in_another_lossless_format(tmp_path):
    make(tmp_path, "a.png", "a.TIF", "a.xml", "b.tiff", "b.xml", "c.PNG", "c.xml")
    found = match_files(tmp_path, ".tif", tmp_path, ".xml")
    assert [image.name for image, _ in found] == ["a.TIF", "b.tiff", "c.PNG"]


def test_pictures_of_another_format_beside_the_images_are_passed_over(tmp_path):
    make(tmp_path, "a.tif", "a.xml", "a_mask.png", "b.png", "b.xml")
    found = match_files(tmp_path, ".tif", tmp_path, ".xml")
    assert [image.name for image, _ in found] == ["a.tif", "b.png"]


def test_a_missing_folder_is_named(tmp_path):
    make(tmp_path, "file")
    for name in ("missing", "file"):
        assert refusal(list_folder, tmp_path / name).startswith(f"{tmp_path / name}: found no such folder")


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_an_image_is_read_to_the_value(tmp_path, suffix):
    image = noise(24)
    np.testing.assert_array_equal(read_image(write_image(tmp_path / f"a.{suffix}", image), 24), image)


def test_transparency_is_left_out(tmp_path):
    opaque, clear = noise(24), np.full((24, 24, 1), 200, np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([opaque[..., ::-1], clear]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", 24), opaque)


def test_ids_are_read_to_the_value(tmp_path):
    ids = np.arange(24 * 24, dtype=np.uint16).reshape(24, 24) * 100
    found = read_label_image(write_image(tmp_path / "a.tif", ids), 24)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, ids)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_what_is_no_whole_image_is_refused(tmp_path, content):
    path = write_image(tmp_path / "a.png", noise(24))
    path.write_bytes(path.read_bytes()[:900] if content is None else content)
    for read in (read_image, read_label_image):
        assert refusal(read, path, 24).startswith(f"{path}: found no image that can be decoded")


def test_another_size_is_refused(tmp_path):
    path = write_image(tmp_path / "a.png", noise(24)[:20])
    assert f"{path}: found 20 x 24 pixels, expected 512 x 512 as published" in refusal(read_image, path, 512)
    assert f"{path}: found 20 x 24 x 3 pixels, expected 20 x 20" in refusal(read_label_image, path, 20)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert str(tmp_path / "a.png") in refusal(read_bytes, tmp_path / "a.png")
    assert str(tmp_path) in refusal(read_bytes, tmp_path)


def test_maps_are_read_to_the_value_in_the_order_asked_for(tmp_path):
    first, second = np.arange(9.0).reshape(3, 3), np.arange(9, dtype=np.uint8).reshape(3, 3).T
    savemat(tmp_path / "a.mat", {"first": first, "second": second, "other": np.ones(7)})
    found = read_maps(tmp_path / "a.mat", ("second", "first"), 3)
    assert [values.dtype for values in found] == [np.uint16, np.uint16]
    np.testing.assert_array_equal(found, [second, first])


def test_a_missing_map_is_named(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"inst_map": np.zeros((3, 3)), "inst_type": np.zeros(3)})
    message = refusal(read_maps, path, ("inst_map", "type_map"), 3)
    assert message.startswith(f"{path}: found inst_map, inst_type, expected inst_map and type_map as well")
    savemat(path, {})
    assert "found nothing, expected" in refusal(read_maps, path, ("inst_map", "type_map"), 3)


def test_damaged_matlab_files_are_refused(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"inst_map": np.arange(400.0).reshape(20, 20)}, do_compression=True)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    damaged = [b"", b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM"]
    damaged += [whole[:length] for length in range(1, len(whole), 7)]
    for _ in range(200):
        bent = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            bent[place] = random.integers(256)
        damaged.append(bytes(bent))
    messages = []
    for content in damaged:
        path.write_bytes(content)
        try:  # not all of it does harm: the first 116 bytes are a description
            read_maps(path, ("inst_map",), 20)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > len(damaged) // 2
    assert all(message.startswith(f"{path}: found ") and "\n" not in message for message in messages)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float64])
def test_whole_numbers_of_any_type_are_ids(tmp_path, dtype):
    found = check_ids(tmp_path, np.array([[0, 1], [1, 0]], dtype), 2)
    assert (found.dtype, found.tolist()) == (np.uint16, [[0, 1], [1, 0]])


@pytest.mark.parametrize("value", [-1, 65536, 0.5, np.nan, np.inf, 1j, "1", None])
def test_other_values_are_no_ids(tmp_path, value):
    message = refusal(check_ids, tmp_path / "a", np.array([[value]]), 1)
    assert message.startswith(f"{tmp_path / 'a'}: found other values than ids, expected whole numbers from 0 to 65535")


def write_hdf5(path, **maps):
    """Write maps as MATLAB 7.3 does: its header, then HDF5, axes turned round."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: MATLAB 7.3 is refused")
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in maps.items():
            file[name] = values.T
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(128))


def test_maps_of_matlab_7_3(tmp_path):
    ids = np.arange(12.0).reshape(3, 4)
    write_hdf5(tmp_path / "a.mat", inst_map=ids)
    np.testing.assert_array_equal(read_matlab(tmp_path / "a.mat")["inst_map"], ids)
    data = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(data[:1000])
    assert "version 7.3 that cannot be read" in refusal(read_matlab, tmp_path / "cut.mat")


def test_matlab_7_3_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(600))
    assert "install h5py, or save it again in MATLAB with save(..., '-v7')" in refusal(read_matlab, tmp_path / "a.mat")
