"""Zips that are whole, and zips that mean harm."""

import shutil
import stat
import zipfile
from collections import namedtuple

import pytest

from helpers.datasets.unpack import unpack
from helpers.errors import InputError


@pytest.fixture
def archive(tmp_path):
    """Make a zip of the given members."""

    def make(*members, **contents):
        path = tmp_path / "given.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name in [*members, *contents]:
                zipped.writestr(name, contents.get(name, b"content") if isinstance(name, str) else b"content")
        return path

    return make


def listing(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_members_come_out(archive, tmp_path):
    folder = unpack(archive("Fold 1/images/a.npy", "Fold 1/b.npy"), tmp_path / "out", 1e6)
    assert listing(folder) == ["Fold 1", "Fold 1/b.npy", "Fold 1/images", "Fold 1/images/a.npy"]
    assert (folder / "Fold 1/b.npy").read_bytes() == b"content"


@pytest.mark.parametrize(
    "name", ["../out.npy", "a/../../out.npy", "/out.npy", "C:/out.npy", "..\\out.npy", "a/..\\..\\out.npy"]
)
def test_no_path_leaves_the_folder(archive, tmp_path, name):
    with pytest.raises(InputError, match=r"given\.zip: found .*out\.npy', which leaves the folder"):
        unpack(archive("good.npy", name), tmp_path / "in" / "out", 1e6)
    assert listing(tmp_path) == ["given.zip"]


def test_links_are_refused(archive, tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(InputError, match="found a link or a locked one, 'link'"):
        unpack(archive(link), tmp_path / "out", 1e6)
    assert listing(tmp_path) == ["given.zip"]


def test_a_bomb_is_refused_before_it_goes_off(archive, tmp_path):
    with pytest.raises(InputError, match=r"expected at most 0\.0 GB unpacked"):
        unpack(archive(bomb=b"\0" * 10_000_000), tmp_path / "out", 1e6)
    assert listing(tmp_path) == ["given.zip"]


def test_a_member_that_lies_about_its_size(archive, tmp_path):
    path = archive(bomb=b"\0" * 100_000)
    data = path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(InputError, match="expected a whole zip"):
        unpack(path, tmp_path / "out", 1e6)
    assert listing(tmp_path) == ["given.zip"]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_zip_cut_short(archive, tmp_path, share):
    path = archive(a=bytes(range(256)) * 50)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match="expected a whole zip"):
        unpack(path, tmp_path / "out", 1e6)
    assert listing(tmp_path) == ["given.zip"]


def test_a_damaged_member_leaves_nothing(archive, tmp_path):
    path = archive(a=b"first", b=bytes(range(256)) * 50)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(InputError, match="expected a whole zip"):
        unpack(path, tmp_path / "out", 1e6)
    assert listing(tmp_path) == ["given.zip"]


def test_two_members_in_one_place(archive, tmp_path):
    with pytest.raises(InputError, match="no way to unpack it"):
        unpack(archive("a", "a/b"), tmp_path / "out", 1e6)
    assert listing(tmp_path) == ["given.zip"]


def test_no_zip_there(tmp_path):
    with pytest.raises(InputError, match="no way to unpack it"):
        unpack(tmp_path / "none.zip", tmp_path / "out", 1e6)


def test_what_stands_there_is_left_alone(archive, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="expected a place for a new folder"):
        unpack(archive("a"), tmp_path / "out", 1e6)
    assert (tmp_path / "out").is_dir()


def test_too_small_a_disk(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "total used free")(0, 0, 3))
    with pytest.raises(InputError, match="of free disk, found 0 MB"):
        unpack(archive("a"), tmp_path / "out", 1e6)
    assert listing(tmp_path) == ["given.zip"]


def test_an_interruption_leaves_nothing(archive, tmp_path, monkeypatch):
    def interrupt(self, folder):
        (folder / "half").write_bytes(b"")
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "extractall", interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive("a"), tmp_path / "out", 1e6)
    assert listing(tmp_path) == ["given.zip"]
