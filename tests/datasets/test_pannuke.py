"""PanNuke from a small server and from this disk, verified, laid out, made small."""

import hashlib
import io
import shutil
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer, serving
from folds import example_images, example_masks, write_fold

from helpers.data.arrays import ArrayFile
from helpers.data.fold import find_folds
from helpers.data.prepare import prepare
from helpers.datasets import fetch, pannuke
from helpers.datasets.pannuke import ACCEPTED, download_pannuke, rewrite
from helpers.errors import InputError
from helpers.files import locked

NUMBERS = (1, 2, 3)
ADDRESS, PUBLISHED = pannuke.ADDRESS, dict(pannuke.SHA256)  # the tests put others in their place


def zipped_fold(folder: Path, number: int) -> bytes:
    """Zip a fold of two tiles as PanNuke's zips are made: float64, a space in the outer folder, a read-me beside."""
    tree = write_fold(
        folder, example_images(2, number).astype(float), example_masks(2).astype(float), layout="pannuke", number=number
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
        for path in sorted(tree.rglob("*.npy")):
            zipped.write(path, path.relative_to(tree).as_posix())
        zipped.writestr(f"Fold {number}/README.md", "as published")
    shutil.rmtree(tree)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def zips(tmp_path_factory) -> dict[int, bytes]:
    return {number: zipped_fold(tmp_path_factory.mktemp("zipped") / "tree", number) for number in NUMBERS}


@pytest.fixture(autouse=True)
def _digests(zips, monkeypatch) -> None:
    monkeypatch.setattr(pannuke, "SHA256", {number: hashlib.sha256(body).hexdigest() for number, body in zips.items()})
    monkeypatch.setattr(fetch.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(fetch, "PIECE", 10_000)


@pytest.fixture
def server(zips, monkeypatch) -> Iterator[FileServer]:
    with serving(zips[1]) as server:
        monkeypatch.setattr(pannuke, "ADDRESS", server.url.replace("fold_1", "fold_{number}"))
        yield server


@pytest.fixture
def folder(tmp_path) -> Iterator[Path]:
    """Where the folds go; removed at once, for pytest would keep them."""
    yield tmp_path / "data"
    shutil.rmtree(tmp_path)


def get(folder: Path, numbers=(1,), **details) -> None:
    download_pannuke(folder, numbers, accept_licence=True, progress=False, **details)


def listing(folder: Path) -> list[str]:
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [path for path in paths if path != ".lock"]


TREE = ["Fold 1/images/fold1/images.npy", "Fold 1/images/fold1/types.npy", "Fold 1/masks/fold1/masks.npy", ACCEPTED]


def test_a_fold_is_downloaded_and_laid_out(server, folder, capsys):
    get(folder)
    assert listing(folder) == TREE
    assert capsys.readouterr().out.endswith("Fold 1: 2 tiles\n")
    (fold,) = find_folds(folder)
    assert fold.images.dtype == np.float64
    np.testing.assert_array_equal(fold.images.read(0, 2), example_images(2, 1))
    np.testing.assert_array_equal(fold.masks.read(0, 2), example_masks(2))


def test_compact_keeps_the_numbers_and_the_digest(server, folder, tmp_path):
    get(folder)
    get(tmp_path / "small", compact=True)
    (fold,) = find_folds(tmp_path / "small")
    assert (fold.images.dtype, fold.masks.dtype) == (np.uint8, np.uint16)
    np.testing.assert_array_equal(fold.masks.read(0, 2), example_masks(2))
    assert listing(tmp_path / "small") == TREE
    digests = [prepare(data, 64, progress=False).digest for data in (folder, tmp_path / "small")]
    assert digests[0] == digests[1]


def test_a_fold_that_stands_is_left_alone(server, folder, capsys):
    get(folder)
    capsys.readouterr()
    get(folder)
    assert capsys.readouterr().out == f"{folder / 'Fold 1'}: stands already\n"
    assert len(server.asked) == 1


def test_a_cut_download_is_taken_up(server, folder):
    server.cuts = [100_000]
    get(folder)
    assert server.asked == [None, "bytes=100000-"]
    assert listing(folder) == TREE


@pytest.mark.parametrize("way", ["zip", "folder of zips"])
def test_zips_on_this_disk_are_taken_instead(zips, folder, tmp_path, way):
    for number in NUMBERS:
        (tmp_path / f"part{number}.zip").write_bytes(zips[number])
    numbers = (2,) if way == "zip" else NUMBERS
    get(folder, numbers, source=tmp_path / "part2.zip" if way == "zip" else tmp_path)
    for number, fold in zip(numbers, find_folds(folder), strict=True):
        np.testing.assert_array_equal(fold.images.read(0, 2), example_images(2, number))
    assert (tmp_path / "part2.zip").read_bytes() == zips[2]


@pytest.mark.parametrize("compact", [False, True])
def test_unpacked_folds_on_this_disk_are_taken_instead(folder, tmp_path, compact):
    images, masks = example_images(2, 3).astype(np.float32), example_masks(2).astype(np.float32)
    source = write_fold(tmp_path / "source", images, masks, layout="pannuke", number=3)
    before = listing(source)
    get(folder, (3,), source=source, compact=compact)
    (fold,) = find_folds(folder)
    assert fold.images.dtype == (np.uint8 if compact else np.float32)
    np.testing.assert_array_equal(fold.images.read(0, 2), images)
    assert listing(source) == before


def test_a_fold_in_the_reports_layout_is_taken_for_the_one_that_is_asked_for(folder, tmp_path):
    source = write_fold(tmp_path / "source", example_images(2), example_masks(2))
    with pytest.raises(InputError, match="expected fold 1 of PanNuke, found source; say with --fold which one it is"):
        get(folder, (1, 2), source=source)
    get(folder, (2,), source=source)
    np.testing.assert_array_equal(find_folds(folder)[0].images.read(0, 2), example_images(2))
    assert find_folds(folder)[0].images.path.parent == folder / "Fold 2/images/fold2"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other.zip", r"expected PanNuke's fold 1 with SHA-256 .*, found other\.zip"),
        ("none.zip", r"none\.zip: expected a zip or a folder of PanNuke, found nothing"),
    ],
)
def test_a_source_that_is_not_pannukes(folder, tmp_path, name, message):
    (tmp_path / "other.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=message):
        get(folder, source=tmp_path / name)
    assert listing(folder) == [ACCEPTED]


def test_a_source_without_the_fold(folder, tmp_path):
    source = write_fold(tmp_path / "source", example_images(2), example_masks(2), layout="pannuke", number=3)
    with pytest.raises(InputError, match="expected fold 1 of PanNuke, found fold3"):
        get(folder, source=source)


@pytest.mark.parametrize(("layout", "given"), [("report", "."), ("pannuke", "."), ("report", "archive")])
def test_a_fold_that_is_read_where_it_stands_is_not_copied_beside_itself(folder, layout, given):
    write_fold(folder / given, example_images(2), example_masks(2), layout=layout)
    if layout == "pannuke":
        (folder / "Fold 1").rename(folder / "mine")
    before = listing(folder)
    with pytest.raises(InputError, match="found fold 1 within .*; it is read there as it stands"):
        get(folder, source=folder / given)
    assert listing(folder) == sorted([*before, ACCEPTED])


@pytest.mark.parametrize("damage", [slice(0, 0), slice(0, 100_000), "bit"])
def test_a_damaged_zip_leaves_nothing(zips, folder, tmp_path, monkeypatch, damage):
    body = bytearray(zips[1])
    if damage == "bit":
        body[len(body) // 2] ^= 255
    else:
        body = body[damage]
    (tmp_path / "given.zip").write_bytes(body)
    monkeypatch.setitem(pannuke.SHA256, 1, hashlib.sha256(body).hexdigest())
    with pytest.raises(
        InputError, match=r"given\.zip: expected a whole zip, it cannot be unpacked: .+; fetch it again"
    ):
        get(folder, source=tmp_path / "given.zip")
    assert listing(folder) == [ACCEPTED]


@pytest.mark.parametrize(("error", "kind"), [(OSError, InputError), (KeyboardInterrupt, KeyboardInterrupt)])
def test_unpacking_that_stops_leaves_nothing(server, folder, monkeypatch, error, kind):
    def stop(self, where):
        where.mkdir()
        (where / "half").write_bytes(b"")
        raise error("No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", stop)
    with pytest.raises(kind, match="No space left on device"):
        get(folder)
    assert listing(folder) == [".download/fold_1.zip", ACCEPTED]


def test_too_small_a_disk_keeps_the_zip(server, folder, monkeypatch):
    real = shutil.disk_usage
    usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage(0, 0, 2_000_000) if "unpacking" not in str(path) else real(path)
    )
    with pytest.raises(InputError, match="of free disk, found 2 MB"):
        get(folder)
    assert listing(folder) == [".download/fold_1.zip", ACCEPTED]


def test_what_a_killed_process_left_is_cleared(server, folder):
    for name in (".unpacking-1", ".Fold 1"):
        (folder / name).mkdir(parents=True)
        (folder / name / "half").write_bytes(b"")
    get(folder)
    assert listing(folder) == TREE


def test_two_processes_do_not_mix(server, folder):
    with locked(folder), pytest.raises(InputError, match="another process is at work in it"):
        get(folder)


@pytest.mark.parametrize("value", [65536.0, 0.5, -1.0, np.nan, np.inf])
def test_no_number_is_changed_in_silence(tmp_path, value):
    np.save(tmp_path / "masks.npy", np.array([[0.0], [65535.0], [value]]))
    with pytest.raises(InputError, match=f"expected whole numbers up to 65535, found {value}"):
        rewrite(ArrayFile.open(tmp_path / "masks.npy"), tmp_path / "small.npy", np.dtype(np.uint16))
    assert listing(tmp_path) == ["masks.npy"]


@pytest.mark.parametrize(("answer", "accepted"), [("yes", True), (" YES ", True), ("no", False), ("", False)])
def test_the_licence_is_asked_for_once(server, folder, monkeypatch, capsys, answer, accepted):
    asked = []
    monkeypatch.setattr(pannuke.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or answer)
    if accepted:
        for _ in range(2):
            download_pannuke(folder, (1,), progress=False)
        assert "CC BY-NC-SA 4.0" in (folder / ACCEPTED).read_text(encoding="utf-8")
    else:
        with pytest.raises(InputError, match="the licence was not accepted, so nothing was downloaded"):
            download_pannuke(folder, (1,), progress=False)
        assert server.asked == []
        assert not folder.exists()
    assert len(asked) == 1
    assert "https://creativecommons.org/licenses/by-nc-sa/4.0/" in capsys.readouterr().out


def test_without_a_terminal_the_licence_must_be_accepted_by_name(server, folder, monkeypatch):
    monkeypatch.setattr(pannuke.sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(InputError, match="add --accept-licence"):
        download_pannuke(folder, (1,), progress=False)
    assert server.asked == []


def test_the_page_of_the_data_names_the_same_sums():
    page = (Path(__file__).parents[2] / "Dataset" / "README.md").read_text(encoding="utf-8")
    for number, digest in PUBLISHED.items():
        assert f"{ADDRESS.format(number=number)} | `{digest}`" in page
