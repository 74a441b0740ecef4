import errno

import cv2
import numpy as np
import pytest
from made_pictures import SmallCopies

from helpers.inference.instances import list_nuclei
from helpers.pictures.picture import ArrayPicture
from helpers.saving import overlay
from helpers.saving.colours import kind_colour
from helpers.saving.overlay import Overlay, write_png


def make_nuclei(labels: np.ndarray, kinds: tuple[str, ...]) -> np.ndarray:
    nuclei = list_nuclei(labels, np.ones(labels.shape, np.float32), None, (), 0.25)
    nuclei["kind"] = kinds
    return nuclei


def grey(*shape: int) -> ArrayPicture:
    return ArrayPicture(np.full((*shape, 3), 128, np.uint8))


def test_outlines_are_the_outermost_pixels_of_each_nucleus_in_the_colour_of_its_kind():
    labels = np.zeros((9, 12), np.int32)
    labels[1:6, 1:6], labels[1:6, 6:10] = 1, 2  # side by side
    drawn = Overlay(grey(9, 12))
    drawn.add(labels, make_nuclei(labels, ("Epithelial", "")))
    expected = np.full((9, 12, 3), 128, np.uint8)
    expected[1:6, 1:6], expected[1:6, 6:10] = kind_colour("Epithelial"), kind_colour("")
    expected[3, 3] = 128
    assert np.array_equal(drawn.image, expected)


def test_crops_are_drawn_where_they_lie_and_rows_need_no_order():
    labels = np.zeros((40, 50), np.int32)
    for number, centre in enumerate([(8, 8), (40, 10), (25, 30)], 1):
        cv2.circle(labels, centre, 6, number, -1)
    nuclei = make_nuclei(labels, ("Dead", "Other", "Neoplastic"))
    whole, parts = Overlay(grey(40, 50)), Overlay(grey(40, 50))
    whole.add(labels, nuclei)
    parts.add(np.where(labels > 1, labels, 0)[3:, 15:], nuclei[:0:-1], 3, 15)
    parts.add(np.where(labels == 1, labels, 0)[:20, :20], nuclei[:1])
    parts.add(np.zeros((4, 4), np.int32), nuclei[:0], 36, 46)
    assert np.array_equal(whole.image, parts.image)
    assert not np.array_equal(whole.image, grey(40, 50).image)


def test_a_large_picture_is_shrunk_and_its_nuclei_with_it(monkeypatch):
    monkeypatch.setattr(overlay, "LARGEST", 101)
    labels = np.zeros((20, 41), np.int32)
    labels[3:6, 33:36] = 1
    drawn = Overlay(grey(20, 41))
    assert drawn.factor == 4
    assert drawn.image.shape == (5, 11, 3)
    drawn.add(labels, make_nuclei(labels, ("Dead",)))
    assert np.argwhere((drawn.image != 128).any(-1)).tolist() == [[0, 8], [1, 8]]


@pytest.mark.parametrize("size", [(8192, 4096), (6000, 4400), (7777, 5555)])
def test_a_slide_is_shrunk_from_its_smaller_copies(monkeypatch, size):
    monkeypatch.setattr(overlay, "LARGEST", 2_000_000)
    assert (Overlay(SmallCopies(*size)).image == 200).all()


def test_the_picture_itself_stays_as_it_is():
    labels = np.ones((5, 5), np.int32)
    picture = grey(5, 5)
    Overlay(picture).add(labels, make_nuclei(labels, ("Dead",)))
    assert (picture.image == 128).all()


def test_a_png_is_read_back_as_rgb(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (7, 11, 3)).astype(np.uint8)
    write_png(tmp_path / "größe.png", image)
    read = cv2.imdecode(np.fromfile(tmp_path / "größe.png", np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(read[..., ::-1], image)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    drawn = Overlay(grey(5, 5))
    drawn.save(tmp_path / "overlay.png")
    before = (tmp_path / "overlay.png").read_bytes()

    def fail(path, content):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        drawn.save(tmp_path / "overlay.png")
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.png"]
    assert (tmp_path / "overlay.png").read_bytes() == before
