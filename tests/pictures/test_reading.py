"""Which reader opens a file, which files are pictures, and what is said of what is none."""

import errno
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_pictures import noise, smooth, write_aperio, write_ome, write_pyramid
from PIL import Image

from helpers.errors import InputError
from helpers.pictures.picture import ArrayPicture
from helpers.pictures.reading import list_pictures, open_picture
from helpers.pictures.slide import SlidePicture
from helpers.pictures.tiff import TiffPicture

IMAGE = noise(256, 320)


def opened(path) -> tuple[type, np.ndarray, float | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_picture(str(path)) as picture:
            return type(picture), picture.read(0, 0, picture.height, picture.width), picture.um_per_px


def test_each_file_goes_to_the_reader_that_sees_all_of_it(tmp_path):
    write_aperio(tmp_path / "a.svs", IMAGE, compression="aperio_jp2000_rgb")
    write_aperio(tmp_path / "codec.svs", IMAGE, compression="jpeg2000")  # 34712, which OpenSlide refuses
    write_pyramid(tmp_path / "a.tif", IMAGE, resolution=(4e4, 4e4), resolutionunit="centimeter")
    write_ome(tmp_path / "a.ome.tif", IMAGE, PhysicalSizeX=0.25, PhysicalSizeY=0.25)
    tifffile.imwrite(tmp_path / "strips.tif", IMAGE, photometric="rgb", rowsperstrip=5)
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    expected = {"a.svs": SlidePicture, "codec.svs": TiffPicture, "a.tif": TiffPicture, "a.ome.tif": TiffPicture}
    expected |= {"strips.tif": TiffPicture, "a.png": ArrayPicture}
    for name, kind in expected.items():
        found, pixels, um_per_px = opened(tmp_path / name)
        assert found is kind, name
        assert np.array_equal(pixels, IMAGE), name
        assert um_per_px == (None if name in ("a.png", "strips.tif") else 0.25), name


def test_the_name_does_not_decide(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.svs")
    assert opened(tmp_path / "a.svs")[0] is ArrayPicture


def test_what_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "words.tif").write_text("some words")
    for name, words in {
        "": "expected the file of a picture, found a folder",
        "none.png": "found no such file",
        "empty.png": "found a file of 0 bytes",
        "words.tif": "found no format that can be read",
        "empty.png/a.png": "cannot be read",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            open_picture(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # file modes would not stop root
    with pytest.raises(InputError, match=r"a.png: cannot be read \(Permission denied\)"):
        open_picture(tmp_path / "a.png")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_slide_whose_pyramid_ends_early_is_refused(tmp_path, share):
    write_aperio(tmp_path / "a.svs", smooth(256, 320), compression="jpeg")
    data = (tmp_path / "a.svs").read_bytes()
    (tmp_path / "a.svs").write_bytes(data[: int(share * len(data))])
    with pytest.raises(
        InputError, match=r"a.svs: expected a whole TIFF, found it cut short or damaged .*; copy it again"
    ):
        open_picture(tmp_path / "a.svs")


def test_a_damaged_tile_size_does_not_end_the_process(tmp_path):
    write_aperio(tmp_path / "a.svs", smooth(256, 320), compression="jpeg")
    with tifffile.TiffFile(tmp_path / "a.svs", mode="r+") as file:
        file.pages[2].tags["TileWidth"].overwrite(2**31 - 64)
    with pytest.raises(InputError, match="a.svs: expected tiles or strips of at most 100,000,000 pixels"):
        open_picture(tmp_path / "a.svs")


# Which files.


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.TIF", "c.svs", ".hidden.png", "notes.txt", "in/d.jpg", "in/deep/e.webp", "in/x[1].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (".", ["a.TIF", "b.png", "c.svs"]),
        ("in", ["in/d.jpg", "in/x[1].png"]),
        ("*.png", ["b.png"]),
        ("?.*", ["a.TIF", "b.png", "c.svs"]),
        ("**", ["a.TIF", "b.png", "c.svs", "in/d.jpg", "in/deep/e.webp", "in/x[1].png"]),
        ("**/*.webp", ["in/deep/e.webp"]),
        ("in/x[1].png", ["in/x[1].png"]),
        ("notes.txt", ["notes.txt"]),  # named outright: opening it will tell
    ],
)
def test_files_folders_and_patterns_name_pictures(folder, source, expected):
    assert list_pictures(str(folder / source)) == [folder / name for name in expected]


def test_each_picture_is_listed_once_in_the_order_given(folder):
    found = list_pictures([folder / "c.svs", folder, str(folder / "*.png")])
    assert [path.name for path in found] == ["c.svs", "a.TIF", "b.png"]


def test_the_home_folder_is_known(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert list_pictures(["~/b.png", "~/in"]) == [folder / "b.png", folder / "in/d.jpg", folder / "in/x[1].png"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("none", "found no such file or folder"),
        ("folder.png", "found none by this folder"),
        ("*.bmp", "found none by this pattern"),
        ("*.txt", "found none by this pattern"),
        ("none/**", "found none by this pattern"),
    ],
)
def test_a_source_without_pictures_is_refused(folder, source, words):
    with pytest.raises(InputError, match=words) as caught:
        list_pictures([folder / "b.png", folder / source])
    assert str(caught.value).startswith(str(folder / source))


def test_one_file_is_listed_once_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(IMAGE).save("a.png")
    (tmp_path / "link.png").symlink_to("a.png")
    assert list_pictures(["a.png", "./a.png", tmp_path / "a.png", "*.png"]) == [Path("a.png"), Path("link.png")]


def test_a_link_that_leads_nowhere_stops_no_others(tmp_path):
    (tmp_path / "link.png").symlink_to("gone.png")
    assert list_pictures(tmp_path / "link.png") == [tmp_path / "link.png"]
    with pytest.raises(InputError, match=r"link.png: expected a picture, found no such file"):
        open_picture(tmp_path / "link.png")
