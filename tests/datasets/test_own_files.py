"""What people have of their own: found by name, read as it is, or refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from published import noise, write_image
from scipy.io import savemat

from helpers.datasets.own_files import find_by_stem, find_pairs, picture_size, read_labels, read_picture
from helpers.errors import InputError


def refusal(read, *arguments) -> str:
    with pytest.raises(InputError) as error:
        read(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_files_are_found_by_their_names(tmp_path):
    for name in ("b.c.PNG", "a.tif", ".a.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.e").mkdir()
    assert list(find_by_stem(tmp_path, (".png", ".tif"))) == ["a", "b.c"]
    assert list(find_by_stem(tmp_path, (".png", ".tif"), folders=True)) == ["a", "b.c", "d.e"]
    (tmp_path / "d.e.png").touch()
    assert "found d.e of the same name" in refusal(find_by_stem, tmp_path, (".png",), True)
    assert "found no file that ends in .bmp" in refusal(find_by_stem, tmp_path, (".bmp",))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_picture_is_read_as_rgb(tmp_path, mode):
    image = np.full((70, 80, 3), (200, 100, 50), np.uint8)
    Image.fromarray(image).convert(mode).save(tmp_path / "a.png")
    expected = np.asarray(Image.fromarray(image).convert(mode).convert("RGB"))
    assert picture_size(tmp_path / "a.png") == (70, 80)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), expected)


def test_a_picture_cut_short_is_named(tmp_path):
    whole = write_image(tmp_path / "a.png", noise(80)).read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:9000])
    assert picture_size(tmp_path / "a.png") == (80, 80)  # its head is whole
    assert refusal(read_picture, tmp_path / "a.png").startswith(f"{tmp_path / 'a.png'}: found no picture that can be")
    assert "found no picture that can be read" in refusal(picture_size, tmp_path / "missing.png")


def test_colours_and_pages_are_no_mask(tmp_path):
    ids = Image.fromarray(np.zeros((64, 64), np.uint8))
    ids.convert("P").save(tmp_path / "palette.png")
    ids.save(tmp_path / "pages.tif", save_all=True, append_images=[ids])
    assert "found P (1 channels), expected one channel of ids" in refusal(
        read_labels, tmp_path / "palette.png", (64, 64)
    )
    assert "found 2 pages" in refusal(read_labels, tmp_path / "pages.tif", (64, 64))


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"type_map": np.ones((64, 64))}, "found type_map, expected inst_map"),
        ({"inst_map": np.ones((64, 63))}, "found 64 x 63 pixels, expected 64 x 64 as its picture"),
        ({"inst_map": -np.ones((64, 64))}, "found other values than ids"),
        ({"inst_map": np.full((64, 64), np.nan)}, "found other values than ids"),
        ({"inst_map": np.ones((64, 64)), "type_map": np.full((64, 64), 0.5)}, "found other values than ids"),
    ],
)
def test_matlab_maps_that_do_not_fit(tmp_path, maps, message):
    savemat(tmp_path / "a.mat", maps)
    assert message in refusal(read_labels, tmp_path / "a.mat", (64, 64))


def test_a_mask_a_nucleus_holds_one(tmp_path):
    two = np.zeros((64, 64), np.uint8)
    two[:5], two[9:] = 1, 2
    write_image(tmp_path / "a/1.png", two)
    assert "1.png: found several values above 0" in refusal(read_labels, tmp_path / "a", (64, 64))


def test_both_ways_of_standing_alone_are_told_and_long_lists_cut(tmp_path):
    for number in range(7):
        write_image(tmp_path / f"images/p{number}.png", noise(64))
    write_image(tmp_path / "masks/q.png", np.zeros((64, 64), np.uint8))
    message = refusal(find_pairs, tmp_path / "images", tmp_path / "masks", None, None, "unknown")
    images, masks = (Path(tmp_path / name) for name in ("images", "masks"))
    assert f"7 in {images} without one in {masks} (p0, p1, p2, p3, p4 and 2 more)" in message
    assert f"and 1 in {masks} without one in {images} (q)" in message
