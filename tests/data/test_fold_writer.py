"""A fold is written tile by tile, in the report's layout, whole or not at all."""

import dataclasses
import os
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.config import TILE_SIZE
from helpers.data import fold_writer
from helpers.data.fold import find_folds
from helpers.data.fold_writer import Tile, write_fold
from helpers.errors import InputError


def made(number: int) -> Tile:
    image = np.full((TILE_SIZE, TILE_SIZE, 3), number, np.uint8)
    masks = np.full((TILE_SIZE, TILE_SIZE, 6), 300 + number, np.uint16)
    return Tile(image, masks, f"Tissue {number}", f"slide {number // 2}", (256 * number, 7))


@pytest.mark.parametrize(("dtype", "mask_dtype"), [("uint8", "uint16"), ("float64", "float64")])
def test_tiles_come_back_in_their_order(tmp_path, dtype, mask_dtype):
    assert write_fold(tmp_path / "new", 3, map(made, range(3)), dtype, mask_dtype) == tmp_path / "new"
    images, masks = (np.load(tmp_path / "new" / name) for name in ("Images/images.npy", "Masks/masks.npy"))
    assert (images.dtype, masks.dtype) == (dtype, mask_dtype)
    assert images[:, 5, 6].tolist() == [[0] * 3, [1] * 3, [2] * 3]
    assert masks[:, 255, 0, 5].tolist() == [300, 301, 302]
    (fold,) = find_folds(tmp_path / "new")
    assert fold.tissues.tolist() == ["Tissue 0", "Tissue 1", "Tissue 2"]
    assert fold.groups.tolist() == ["slide 0", "slide 0", "slide 1"]
    assert fold.positions.tolist() == [[0, 7], [256, 7], [512, 7]]
    assert os.listdir(tmp_path) == ["new"]


def test_what_more_a_tile_tells_is_written_beside_it(tmp_path):
    more = {"picture": "slide 0, left", "extent": (256, 80), "annotated": (False, True)}
    tiles = [dataclasses.replace(made(number), **more) for number in range(2)]
    folder = write_fold(tmp_path / "new", 2, tiles, kinds=["a", "b", "c", "d", "e"])
    beside = {path.stem: np.load(path).tolist() for path in (folder / "Images").iterdir() if path.stem != "images"}
    assert [len(beside.pop(name)) for name in ("types", "groups", "positions")] == [2, 2, 2]
    assert beside == {
        "pictures": ["slide 0, left"] * 2,
        "extents": [[256, 80]] * 2,
        "annotated": [[False, True]] * 2,
        "kinds": ["a", "b", "c", "d", "e"],
    }
    (fold,) = find_folds(folder)
    assert (fold.pictures.tolist(), fold.extents.tolist()) == (beside["pictures"], beside["extents"])
    write_fold(tmp_path / "plain", 1, [made(1)])
    names = ["groups.npy", "images.npy", "positions.npy", "types.npy"]
    assert sorted(os.listdir(tmp_path / "plain/Images")) == names


def test_an_existing_folder_keeps_what_it_holds(tmp_path):
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    write_fold(tmp_path, 1, [made(1)])
    assert sorted(os.listdir(tmp_path)) == ["Images", "Masks", "README.md"]


@pytest.mark.parametrize("taken", ["Images", "Masks"])
def test_a_fold_is_not_written_over(tmp_path, taken):
    (tmp_path / taken).mkdir()
    with pytest.raises(InputError, match="found a fold there"):
        write_fold(tmp_path, 1, [made(1)])
    assert os.listdir(tmp_path) == [taken]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder", encoding="utf-8")
    for folder in (file, file / "fold"):
        with pytest.raises(InputError, match="found no way to write there"):
            write_fold(folder, 1, [made(1)])
    assert file.read_text(encoding="utf-8") == "not a folder"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_noticed_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr(fold_writer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(InputError, match="expected 3 MB of free disk, found 1 MB; free some"):
        write_fold(tmp_path / "fold", 3, map(made, range(3)))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, InputError])
def test_nothing_is_left_after_a_failure(tmp_path, existing, error):
    def stopped() -> Iterator[Tile]:
        yield made(1)
        raise error("in the middle")

    if existing:
        (tmp_path / "fold").mkdir()
    with pytest.raises(error, match="in the middle"):
        write_fold(tmp_path / "fold", 2, stopped())
    assert [path.name for path in tmp_path.rglob("*")] == ["fold"] * existing
