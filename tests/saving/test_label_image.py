import errno
import tracemalloc

import numpy as np
import pytest
import tifffile

from helpers.saving import label_image
from helpers.saving.label_image import write_label_image, write_probability

SIZES = [(1, 1), (16, 16), (17, 33), (100, 75), (5, 130)]


def reader(values: np.ndarray):
    """Give rectangles of an array, and refuse those that reach beyond it."""

    def read(top: int, left: int, height: int, width: int) -> np.ndarray:
        piece = values[top : top + height, left : left + width]
        assert piece.shape == (height, width)
        return piece

    return read


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", [16, 48, 256])
def test_labels_come_back_at_any_size_and_with_any_tiles(tmp_path, size, tile):
    labels = np.random.default_rng(0).integers(0, 2**31 - 1, size, np.int32)
    write_label_image(tmp_path / "labels.tif", reader(labels), *size, um_per_px=0.25, tile=tile)
    with tifffile.TiffFile(tmp_path / "labels.tif") as file:
        assert (len(file.pages), file.pages[0].tilelength, file.is_bigtiff) == (1, tile, False)
        found = file.asarray()
    assert found.dtype == np.uint32
    assert np.array_equal(found, labels)


@pytest.mark.parametrize("um_per_px", [0.25, 0.4545, 1.0])
def test_the_scale_is_written_as_pixels_a_centimetre(tmp_path, um_per_px):
    write_label_image(tmp_path / "labels.tif", reader(np.ones((3, 4), np.int32)), 3, 4, um_per_px)
    with tifffile.TiffFile(tmp_path / "labels.tif") as file:
        tags = file.pages[0].tags
        assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
        for name in ("XResolution", "YResolution"):
            numerator, denominator = tags[name].value
            assert 1e4 / (numerator / denominator) == pytest.approx(um_per_px, rel=1e-6)


def test_a_picture_whose_labels_may_pass_four_gigabytes_is_written_as_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(label_image, "LARGEST_CLASSIC", 4 * 20 * 30 - 1)
    labels = np.arange(600, dtype=np.int32).reshape(20, 30)
    write_label_image(tmp_path / "labels.tif", reader(labels), 20, 30, 0.25)
    with tifffile.TiffFile(tmp_path / "labels.tif") as file:
        assert file.is_bigtiff
        assert np.array_equal(file.asarray(), labels)


def test_the_same_labels_give_the_same_bytes(tmp_path):
    labels = np.random.default_rng(1).integers(0, 9, (70, 90), np.int32)
    for name in ("a.tif", "b.tif"):
        write_label_image(tmp_path / name, reader(labels), 70, 90, 0.25, tile=32)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize("size", SIZES)
def test_probabilities_come_back_to_half_a_step(tmp_path, size):
    probability = np.random.default_rng(0).random(size, np.float32)
    write_probability(tmp_path / "probability.tif", reader(probability), *size, um_per_px=0.25, tile=16)
    found = tifffile.imread(tmp_path / "probability.tif")
    assert found.dtype == np.uint8
    assert np.abs(found / 255 - probability).max() <= 0.5 / 255 + 1e-6


def test_one_half_is_where_128_begins(tmp_path):
    probability = np.array([[0, np.nextafter(np.float32(0.5), 0) - 1e-4, 0.5, 1]], np.float32)
    write_probability(tmp_path / "probability.tif", reader(probability), 1, 4, 0.25)
    assert tifffile.imread(tmp_path / "probability.tif").tolist() == [[0, 127, 128, 255]]


def test_memory_does_not_grow_with_the_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(label_image, "ACROSS", 4)

    def peak(height: int, width: int = 512) -> int:
        tracemalloc.start()
        write_label_image(
            tmp_path / "labels.tif", lambda _top, _left, rows, columns: np.ones((rows, columns), np.int32), height,
            width, um_per_px=0.25, tile=128,
        )  # fmt: skip
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(256)  # what is made once
    assert peak(16_384) < 1.5 * peak(2048)
    assert peak(256, 16_384) < 1.5 * peak(256, 2048)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "labels.tif"
    labels = np.ones((64, 64), np.int32)
    write_label_image(path, reader(labels), 64, 64, 0.25)
    before = path.read_bytes()

    def fail(top: int, left: int, height: int, width: int) -> np.ndarray:
        if top:
            raise OSError(errno.ENOSPC, "No space left on device")
        return labels[:height, :width]

    with pytest.raises(OSError, match="No space"):
        write_label_image(path, fail, 64, 64, 0.25, tile=16)
    assert [found.name for found in tmp_path.iterdir()] == ["labels.tif"]
    assert path.read_bytes() == before
