"""Preparation: the values of a cache, when it is taken up again, what interrupts it, what it refuses, what it costs."""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from folds import add_nucleus, empty_masks, example_images, example_masks, write_example, write_fold
from tiny_run import make_cache

from helpers.config import CLASS_NAMES
from helpers.data import prepare as prepare_module
from helpers.data.cache import DESCRIPTION, Cache
from helpers.data.fold import Fold
from helpers.data.masks import class_maps_from_masks
from helpers.data.prepare import STALE_SECONDS, prepare
from helpers.errors import InputError, InputWarning
from helpers.preprocessing import shrink_class_maps, shrink_images
from helpers.sources import Seen

ROOT = Path(__file__).resolve().parents[2]
GROUPS, POSITIONS = ["a", "a", "b"], [[0, 0], [0, 256], [0, 0]]


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch) -> Path:
    """A user's cache folder of each test's own, so that none writes into the real one."""
    folder = tmp_path / "user"
    monkeypatch.setattr(prepare_module, "user_cache_path", lambda name: folder / name)
    return folder


@pytest.fixture
def dataset(tmp_path) -> Path:
    """Three tiles in the report's layout."""
    return write_example(tmp_path / "Dataset", 3)


def prepared(folder: Path, size: int = 64, labels: str = "nearest") -> Cache:
    return prepare(folder, size, labels, progress=False)


def caches(folder: Path) -> list[str]:
    """List the caches of a data set, finished or not."""
    return sorted(path.name for path in (folder / ".nuclei_cache").glob("*"))


def sources(folder: Path) -> dict[str, tuple[str, int]]:
    """Give digest and time of change of everything but the cache."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".nuclei_cache" not in path.parts)
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files}


def assert_equal(one: Cache, other: Cache) -> None:
    """Compare all that two caches hold."""
    for field in vars(one):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field), err_msg=field)


def forbid_reading(monkeypatch) -> None:
    def read(*_):
        raise AssertionError("the source was read again")

    monkeypatch.setattr(Fold, "read", read)


def later(path: Path, seconds: int = 10) -> None:
    """Let a file look changed some time after it was."""
    changed = path.stat().st_mtime_ns + seconds * 10**9
    os.utime(path, ns=(changed, changed))


# What a cache holds.


@pytest.mark.parametrize("labels", ["nearest", "majority"])
@pytest.mark.parametrize("size", [64, 100, 256])
def test_cache_holds_the_shrunk_tiles(dataset, size, labels):
    cache = prepared(dataset, size, labels)
    class_maps = class_maps_from_masks(example_masks(3))
    assert (cache.image_size, cache.labels, len(cache)) == (size, labels, 3)
    assert cache.images.dtype == cache.class_maps.dtype == np.uint8
    np.testing.assert_array_equal(cache.images, shrink_images(example_images(3), size))
    np.testing.assert_array_equal(cache.class_maps, shrink_class_maps(class_maps, size, labels))


def test_cache_holds_what_is_known_of_each_tile(tmp_path):
    masks = example_masks(3)
    masks[1] = 0
    details = {"tissues": ["Breast", "Bile-duct", "Colon"], "groups": GROUPS, "positions": POSITIONS}
    cache = prepared(write_fold(tmp_path / "mine", example_images(3), masks, **details))
    assert cache.name == "mine"
    assert cache.tissues.tolist() == ["Breast", "Bile-duct", "Colon"]
    assert cache.groups.tolist() == GROUPS
    assert cache.positions.tolist() == POSITIONS
    assert cache.nuclei.tolist() == [[1, 1, 0, 0, 0], [0] * 5, [0, 0, 1, 1, 0]]
    assert cache.void.tolist() == [False, True, False]
    assert cache.fold_numbers.tolist() == [0, 0, 0]
    assert cache.official is None


def test_three_folds_become_one_cache(tmp_path):
    for number in (1, 2, 3):
        write_example(tmp_path, number, seed=number, layout="pannuke", number=number)
    cache = prepared(tmp_path)
    assert cache.fold_numbers.tolist() == [0, 1, 1, 2, 2, 2]
    assert cache.official == [1, 2, 3]
    whole = np.concatenate([example_images(number, seed=number) for number in (1, 2, 3)])
    np.testing.assert_array_equal(cache.images, shrink_images(whole, 64))


def test_pictures_are_the_groups_unless_told_apart(tmp_path):
    folder = write_example(tmp_path / "a", 3, groups=GROUPS, positions=POSITIONS)
    assert (prepared(folder).pictures.tolist(), prepared(folder).extents.tolist()) == (GROUPS, [[256, 256]] * 3)
    np.save(folder / "Images/pictures.npy", ["p", "q", "r"])
    np.save(folder / "Images/extents.npy", [[256, 256], [9, 256], [256, 7]])
    cache = prepared(folder)
    assert (cache.groups.tolist(), cache.pictures.tolist()) == (GROUPS, ["p", "q", "r"])
    assert cache.extents.tolist() == [[256, 256], [9, 256], [256, 7]]


def test_a_fold_without_groups_takes_none_from_the_others(tmp_path):
    write_example(tmp_path, 3, layout="pannuke", number=1, groups=GROUPS, positions=POSITIONS)
    write_example(tmp_path, 2, seed=1, layout="pannuke", number=2)
    write_example(tmp_path, 3, seed=2, layout="pannuke", number=3, groups=["b", " ", "c"])
    cache = prepared(tmp_path)
    assert cache.groups.tolist() == [*GROUPS, "ungrouped-3", "ungrouped-4", "b", "ungrouped-6", "c"]
    assert cache.grouped.tolist() == [True] * 3 + [False] * 2 + [True, False, True]
    assert cache.positions.tolist() == [*POSITIONS, *[[-1, -1]] * 5]
    assert cache.fold_files == [f"Fold {number}/images/fold{number}/images.npy" for number in (1, 2, 3)]


@pytest.mark.parametrize("groups", [None, ["", " ", ""]])
def test_a_picture_that_is_told_is_a_group(tmp_path, groups):
    folder = write_example(tmp_path / "a", 3, groups=groups)
    np.save(folder / "Images/pictures.npy", ["p", "p", ""])
    cache = prepared(folder)
    assert cache.groups.tolist() == ["p", "p", "ungrouped-2"]
    assert cache.grouped.tolist() == [True, True, False]


def test_pictures_of_one_name_in_several_groups_are_several(tmp_path):
    for number, group in ((1, "slide"), (2, "other")):
        folder = write_example(tmp_path, 2, number, layout="pannuke", number=number, groups=[group] * 2)
        np.save(folder / f"Fold {number}/images/fold{number}/pictures.npy", ["01", f"{number}"])
    assert prepared(tmp_path).pictures.tolist() == ["slide/01", "1", "other/01", "2"]


def test_copies_under_a_name_in_capitals_are_told(tmp_path):
    folder = write_fold(tmp_path / "a", example_images(2)[[0, 0]], example_masks(2))
    (folder / "Images/images.npy").rename(folder / "Images/IMAGES.npy")
    with pytest.warns(InputWarning, match=r"1 of Images/IMAGES\.npy also in Images/IMAGES\.npy"):
        prepared(folder)


def test_groups_that_are_all_blank_are_not_known(tmp_path):
    cache = prepared(write_example(tmp_path / "blank", 2, groups=["", " "]))
    assert cache.groups is None
    assert not cache.grouped.any()


@pytest.mark.parametrize("labels", ["nearest", "majority"])
@pytest.mark.parametrize("size", [64, 100, 128, 256])
def test_every_pixel_of_a_nucleus_has_its_number_and_no_other(dataset, size, labels):
    cache = prepared(dataset, size, labels)
    assert (cache.instances.dtype, cache.instances.shape) == (np.uint16, (3, size, size))
    np.testing.assert_array_equal(cache.instances > 0, cache.class_maps > 0)
    # In each of these tiles a nucleus is all that there is of its class.
    for class_map, instances in zip(cache.class_maps, cache.instances, strict=True):
        pairs = {*zip(class_map.ravel().tolist(), instances.ravel().tolist(), strict=True)}
        assert {number for _, number in pairs} == {0, 1, 2}
        assert len(pairs) == 3


def cut_nuclei(folder: Path, **details) -> Path:
    """Write three tiles in a row: two nuclei of one class, whose numbers in the masks are 40 and 7, lie over seams."""
    masks = empty_masks(3)
    for tile, number, columns in ((0, 40, np.s_[240:]), (1, 40, np.s_[:20]), (1, 7, np.s_[200:]), (2, 7, np.s_[:9])):
        add_nucleus(masks, tile, 2, number, np.s_[100:140], columns)
    return write_fold(folder, example_images(3), masks, **details)


@pytest.mark.parametrize("size", [128, 256])
def test_a_nucleus_keeps_its_number_from_tile_to_tile_of_a_picture(tmp_path, size):
    row = [[0, 0], [0, 256], [0, 512]]
    cache = prepared(cut_nuclei(tmp_path, groups=["a"] * 3, positions=row), size)
    seams = [cache.instances[tile, size // 2, place].item() for tile, place in ((0, -1), (1, 0), (1, -1), (2, 0))]
    assert seams == [1, 1, 2, 2]
    assert [np.unique(tile).tolist() for tile in cache.instances] == [[0, 1], [0, 1, 2], [0, 2]]


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"groups": ["a"] * 3},  # of no known place
        {"positions": [[0, 0], [0, 256], [0, 512]]},  # of no known picture
        {"groups": ["a"] * 3, "positions": [[0, 0], [0, 256], [0, 512]], "pictures": ["", "", ""]},
        {"groups": ["a"] * 3, "positions": [[0, 0], [0, 256], [0, 512]], "pictures": ["p", "q", "r"]},
    ],
)
def test_tiles_without_a_picture_are_numbered_by_themselves(tmp_path, details):
    cache = prepared(cut_nuclei(tmp_path, **details), 128)
    assert [np.unique(tile).tolist() for tile in cache.instances] == [[0, 1], [0, 1, 2], [0, 1]]


def test_more_nuclei_in_a_picture_than_numbers_are_refused(tmp_path):
    masks = empty_masks(2).astype(np.int32)
    masks[..., 0] = np.arange(2 * 256**2).reshape(2, 256, 256) + 1
    masks[..., 5] = 0
    folder = write_fold(tmp_path, example_images(2), masks, groups=["big"] * 2, positions=[[0, 0], [0, 256]])
    with pytest.raises(InputError, match="big: expected at most 65,535 nuclei in one source image, found more"):
        prepared(folder, 256)
    assert caches(folder) == []


def test_what_is_known_of_nuclei_comes_along(tmp_path):
    known = [[True, False], [False, True], [True, True]]
    folder = write_example(tmp_path, 3, annotated=known, kinds=["a", "b", "c", "a", "e"])
    cache = prepared(folder)
    assert (cache.annotated.dtype, cache.annotated.tolist()) == (bool, known)
    assert cache.kinds == ("a", "b", "c", "a", "e")
    # Of the tiles whose kinds are known the first holds channels 0 and 1, the third 2 and 3; both a are one kind.
    assert cache.known_kinds == ("a", "b", "c")
    np.save(folder / "Images/annotated.npy", [[False, True]] * 3)
    assert prepared(folder).known_kinds == ()


def test_kinds_are_pannukes_unless_told(dataset):
    cache = prepared(dataset)
    assert (cache.kinds, cache.known_kinds) == (
        CLASS_NAMES,
        CLASS_NAMES[:4],
    )  # example_masks: 0 and 1, 1 and 2, 2 and 3
    assert cache.annotated.tolist() == [[True, True]] * 3


def test_folds_of_other_kinds_are_refused(tmp_path):
    for number, kinds in ((1, list("abcde")), (2, list("abcdf"))):
        write_example(tmp_path, 1, layout="pannuke", number=number, kinds=kinds)
    name = "Fold 2/images/fold2/images"
    first = tmp_path / "Fold 1/images/fold1/images.npy"
    assert_refuses(tmp_path, name, f"expected the kinds of nuclei of {first}, a, b, c, d, e, found a, b, c, d, f; keep")


def test_a_fold_that_knows_no_kinds_may_call_them_what_it_will(tmp_path):
    untyped = {"kinds": ["Untyped", *"bcde"], "annotated": [[False, True]]}
    for number, details in ((1, untyped), (2, {"kinds": list("vwxyz")}), (3, untyped)):
        write_example(tmp_path, 1, number, layout="pannuke", number=number, **details)
    cache = prepared(tmp_path)
    assert (cache.kinds, cache.known_kinds) == (tuple("vwxyz"), ("v", "w"))
    assert cache.annotated.tolist() == [[False, True], [True, True], [False, True]]


def test_a_cache_of_before_single_nuclei_is_prepared_anew(dataset):
    first = prepared(dataset)
    folder = dataset / ".nuclei_cache" / "64-nearest"
    described = json.loads((folder / DESCRIPTION).read_text())
    described["key"]["format"] = 3
    for name in ("annotated", "kinds"):
        del described[name]
    (folder / DESCRIPTION).write_text(json.dumps(described))
    (folder / "instances.npy").unlink()
    assert_equal(prepared(dataset), first)


def test_share_of_nuclei_by_hand(tmp_path):
    masks = empty_masks(2)
    masks[1, :64, :, 2], masks[1, :64, :, 5] = 3, 0
    cache = prepared(write_fold(tmp_path / "quarter", example_images(2), masks))
    assert cache.nuclei_shares.tolist() == [0, 0.25]


def test_arrays_are_mapped_and_cannot_be_written(dataset):
    cache = prepared(dataset)
    assert isinstance(cache.images, np.memmap)
    assert isinstance(cache.class_maps, np.memmap)
    assert isinstance(cache.instances, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        cache.images[0] = 0


@pytest.mark.parametrize("chunk", [1, 3, 5])
def test_number_of_tiles_read_at_once_changes_nothing(tmp_path, monkeypatch, chunk):
    whole = prepared(write_example(tmp_path / "Dataset", 5))
    shutil.rmtree(tmp_path / "Dataset" / ".nuclei_cache")
    monkeypatch.setattr(prepare_module, "CHUNK", chunk)
    assert_equal(prepared(tmp_path / "Dataset"), whole)


def test_digests_by_hand(dataset):
    cache = prepared(dataset)
    digest = hashlib.sha256()
    for image, class_map in zip(example_images(3), class_maps_from_masks(example_masks(3)), strict=True):
        digest.update(image.tobytes() + class_map.tobytes())
    assert cache.digest == digest.hexdigest()
    assert cache.tile_digests.tolist() == [
        hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in example_images(3)
    ]


@pytest.mark.parametrize(("images", "masks"), [("float64", "float64"), ("float32", "uint16"), (">i2", "int64")])
def test_dtype_changes_nothing(dataset, tmp_path, images, masks):
    folder = tmp_path / "other" / "Dataset"
    other = write_fold(folder, example_images(3).astype(images), example_masks(3).astype(masks))
    assert_equal(prepared(other), prepared(dataset))


def test_tiles_seen_before_are_found_and_glass_is_not():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    images[1] = (240, 230, 250)
    made = make_cache([[0]] * 3, ["Breast"] * 3)
    cache = dataclasses.replace(made, images=images, tile_digests=np.array(["a", "b", "c"]))
    seen, spoke = cache.find_seen(np.array([2, 1, 0]), Seen(("c", "b")))
    assert seen.tolist() == [True, False, False]
    assert spoke == "1 by their pixels, 0 by the names of their sources"
    assert cache.find_seen(np.array([], dtype=int), Seen(("c",)))[0].tolist() == []


def test_tiles_are_known_by_the_names_of_their_sources_too():
    groups = [*(f"TCGA-18-559{number}-01Z-00-DX1" for number in range(5)), "slide"]
    cache = make_cache([[0] * 5] * 6, ["Breast"] * 6, groups=groups)
    seen, spoke = cache.find_seen(np.arange(6), Seen(("a",), tuple(f"TCGA-18-559{number}" for number in range(1, 9))))
    assert seen.tolist() == [False, True, True, True, True, False]
    assert spoke == (
        "0 by their pixels, 4 by the names of their sources: TCGA-18-5591, TCGA-18-5592, TCGA-18-5593 and 1 more"
    )


def test_weights_that_know_no_names_are_warned_of_where_names_would_tell():
    named, unnamed = (make_cache([[0] * 5], ["Breast"], groups=[group]) for group in ("consep-train_1", "slide"))
    old = Seen(("a",), None)
    assert not unnamed.find_seen(np.array([0]), old)[0].any()
    with pytest.warns(InputWarning, match="made: the weights tell .* but not the names of their sources"):
        assert not named.find_seen(np.array([0]), old)[0].any()


def test_size_and_labels_leave_the_digest(dataset):
    assert len({prepared(dataset, size, labels).digest for size, labels in [(64, "nearest"), (96, "majority")]}) == 1


def test_bar_counts_tiles(dataset, capsys):
    prepare(dataset, 64, progress=True)
    bar = capsys.readouterr().err
    assert "preparing: 100%" in bar
    assert "3/3" in bar
    prepare(dataset, 96, progress=False)
    assert capsys.readouterr().err == ""


# When a cache is taken up again.


def test_second_preparation_reads_nothing(dataset, monkeypatch):
    first = prepared(dataset)
    forbid_reading(monkeypatch)
    assert_equal(prepared(dataset), first)


def test_source_is_left_alone(dataset):
    before = sources(dataset)
    prepared(dataset)
    assert sources(dataset) == before


def test_each_size_and_rule_has_its_own_cache(dataset, monkeypatch):
    for size, labels in [(64, "nearest"), (64, "majority"), (96, "nearest")]:
        prepared(dataset, size, labels)
    assert caches(dataset) == ["64-majority", "64-nearest", "96-nearest"]
    forbid_reading(monkeypatch)
    assert prepared(dataset, 96).images.shape == (3, 96, 96, 3)
    assert prepared(dataset, 64, "majority").labels == "majority"


def test_changed_values_are_noticed(dataset):
    old = prepared(dataset)
    images = example_images(3, seed=1)
    np.save(dataset / "Images/images.npy", images)  # of the same size
    later(dataset / "Images/images.npy")
    new = prepared(dataset)
    np.testing.assert_array_equal(new.images, shrink_images(images, 64))
    assert new.digest != old.digest
    assert caches(dataset) == ["64-nearest"]


@pytest.mark.parametrize(
    "name",
    [
        *("Images/images.npy", "Masks/masks.npy", "Images/types.npy", "Images/groups.npy"),
        *("Images/annotated.npy", "Images/kinds.npy"),
    ],
)
def test_a_change_of_any_file_is_noticed(tmp_path, monkeypatch, name):
    folder = write_example(tmp_path / "Dataset", 3, groups=GROUPS, annotated=[[True, True]] * 3, kinds=CLASS_NAMES)
    prepared(folder)
    later(folder / name)
    forbid_reading(monkeypatch)
    with pytest.raises(AssertionError, match="read again"):
        prepared(folder)


def test_groups_that_come_later_are_noticed(dataset):
    assert prepared(dataset).groups is None
    np.save(dataset / "Images/groups.npy", GROUPS)
    assert prepared(dataset).groups.tolist() == GROUPS
    (dataset / "Images/groups.npy").unlink()
    assert prepared(dataset).groups is None


def test_a_moved_data_set_keeps_its_cache_under_its_new_name(dataset, tmp_path, monkeypatch):
    first = prepared(dataset)
    dataset.rename(tmp_path / "moved")
    forbid_reading(monkeypatch)
    moved = prepared(tmp_path / "moved")
    assert (first.name, moved.name) == ("Dataset", "moved")
    np.testing.assert_array_equal(moved.images, first.images)


def test_the_folder_of_images_alone(dataset):
    whole, part = prepared(dataset), prepared(dataset / "Images")
    np.testing.assert_array_equal(part.class_maps, whole.class_maps)
    assert part.digest == whole.digest
    later(dataset / "Masks/masks.npy")
    assert prepared(dataset / "Images").digest == whole.digest


@pytest.mark.parametrize("name", ["images.npy", "class_maps.npy", "instances.npy", "cache.json"])
@pytest.mark.parametrize("length", [0, 50, -2])
def test_a_damaged_cache_is_reported(dataset, name, length):
    prepared(dataset)
    damaged = dataset / ".nuclei_cache" / "64-nearest" / name
    damaged.write_bytes(damaged.read_bytes()[:length])
    with pytest.raises(InputError, match="delete") as caught:
        prepared(dataset)
    assert str(damaged.parent) in str(caught.value)


# What interrupts it.


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interrupted_preparation_leaves_nothing(dataset, monkeypatch, error):
    read = Fold.read

    def interrupt(fold, start, stop):
        if start == 2:
            raise error
        return read(fold, start, stop)

    with monkeypatch.context() as patched:
        patched.setattr(prepare_module, "CHUNK", 1)
        patched.setattr(Fold, "read", interrupt)
        with pytest.raises(error):
            prepared(dataset)
    assert caches(dataset) == []
    np.testing.assert_array_equal(prepared(dataset).images, shrink_images(example_images(3), 64))


def test_interrupted_preparation_leaves_the_older_cache(dataset, monkeypatch):
    first = prepared(dataset)
    later(dataset / "Images/images.npy")
    with monkeypatch.context() as patched:
        forbid_reading(patched)
        with pytest.raises(AssertionError):
            prepared(dataset)
    assert caches(dataset) == ["64-nearest"]
    later(dataset / "Images/images.npy", -10)
    forbid_reading(monkeypatch)
    assert_equal(prepared(dataset), first)


KILLED = """
import sys, time
from pathlib import Path
from helpers.data import prepare
from helpers.data.fold import Fold

read = Fold.read

def wait_before_the_last(fold, start, stop):
    if start == 2:
        print("two tiles done", flush=True)
        time.sleep(60)
    return read(fold, start, stop)

prepare.CHUNK, Fold.read = 1, wait_before_the_last
prepare.prepare(Path(sys.argv[1]), 64, progress=False)
"""


def test_killed_preparation_leaves_no_cache(dataset):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, dataset], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "two tiles done\n"
        child.kill()
    (left,) = caches(dataset)
    assert left.startswith("unfinished-")
    np.testing.assert_array_equal(prepared(dataset).images, shrink_images(example_images(3), 64))
    assert caches(dataset) == ["64-nearest", left]  # it may belong to a process that is at work


@pytest.mark.parametrize(
    ("folder_age", "file_age", "kept"),
    [(2 * STALE_SECONDS, STALE_SECONDS + 60, False), (2 * STALE_SECONDS, STALE_SECONDS - 60, True)],
)
def test_unfinished_caches_are_removed_when_they_are_old(dataset, folder_age, file_age, kept):
    unfinished = dataset / ".nuclei_cache" / "unfinished-1234"
    unfinished.mkdir(parents=True)
    (unfinished / "images.npy").write_bytes(b"half")
    for path, age in ((unfinished / "images.npy", file_age), (unfinished, folder_age)):
        os.utime(path, (time.time() - age,) * 2)
    prepared(dataset)
    assert unfinished.exists() is kept


def test_no_free_space(dataset, monkeypatch):
    needed = 3 * 64 * 64 * 6
    monkeypatch.setattr(prepare_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(InputError, match=r"\.nuclei_cache: expected 0 MB of free disk, found 0 MB; free some"):
        prepared(dataset)
    assert caches(dataset) == []
    monkeypatch.setattr(prepare_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=needed))
    assert len(prepared(dataset)) == 3


def test_a_disk_that_fills_up(dataset, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prepare_module, "write_json", fail)
    with pytest.raises(InputError, match=r"\.nuclei_cache: the cache cannot be written \(No space left on device\)"):
        prepared(dataset)
    assert caches(dataset) == []


# Where it stands.


def test_a_read_only_data_set_is_served_from_the_users_cache(dataset, user_cache, monkeypatch):
    writable = prepare_module._writable
    monkeypatch.setattr(prepare_module, "_writable", lambda root: dataset not in root.parents and writable(root))
    first = prepared(dataset)
    np.testing.assert_array_equal(first.images, shrink_images(example_images(3), 64))
    assert not (dataset / ".nuclei_cache").exists()
    (folder,) = (user_cache / "nuclei-helpers").iterdir()
    assert Path(first.images.filename).parent == folder / "64-nearest"
    forbid_reading(monkeypatch)
    assert_equal(prepared(dataset), first)


def test_read_only_data_sets_of_one_name_have_caches_of_their_own(tmp_path, monkeypatch):
    writable = prepare_module._writable
    monkeypatch.setattr(prepare_module, "_writable", lambda root: root.name != ".nuclei_cache" and writable(root))
    folders = [write_example(tmp_path / name / "Dataset", 2, seed) for seed, name in enumerate("ab")]
    one, other = map(prepared, folders)
    assert one.digest != other.digest
    forbid_reading(monkeypatch)
    assert_equal(prepared(folders[0]), one)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is read-only for root or Windows")
def test_a_folder_that_really_is_read_only(dataset, user_cache):
    dataset.chmod(0o555)
    try:
        cache = prepared(dataset)
    finally:
        dataset.chmod(0o755)
    assert user_cache in Path(cache.images.filename).parents
    assert not (dataset / ".nuclei_cache").exists()


def test_neither_place_can_be_written(dataset, monkeypatch):
    monkeypatch.setattr(prepare_module, "_writable", lambda root: False)
    with pytest.raises(InputError, match="neither it nor the user's cache folder can be written") as caught:
        prepared(dataset)
    assert str(caught.value).startswith(f"{dataset}: ")


def test_a_file_in_place_of_the_cache_folder(dataset, user_cache):
    (dataset / ".nuclei_cache").write_text("")
    cache = prepared(dataset)
    assert user_cache in Path(cache.images.filename).parents


@pytest.mark.skipif(os.name != "posix", reason="no such permissions")
def test_others_may_read_the_cache_as_they_may_read_the_source(dataset):
    (dataset / "made").mkdir()
    prepared(dataset)
    assert (dataset / ".nuclei_cache/64-nearest").stat().st_mode == (dataset / "made").stat().st_mode


# What it refuses: one line that names the file, no cache, the source as it was.


def rewrite(name: str, change):
    """Give a damage: load a file of the data set, change it (in place or not), write it back."""

    def damage(folder: Path) -> None:
        path = folder / f"{name}.npy"
        values = np.load(path)
        changed = change(values)
        np.save(path, values if changed is None else changed)

    return damage


def put(name: str, dtype: str, place: tuple, value: float):
    """Give a damage: one value of a file, in a dtype that can hold it."""

    def change(values: np.ndarray) -> np.ndarray:
        values = values.astype(dtype)
        values[place] = value
        return values

    return rewrite(name, change)


def cut(folder: Path) -> None:
    path = folder / "Images/images.npy"
    os.truncate(path, path.stat().st_size - 1)


IMAGES, MASKS, TYPES = "Images/images", "Masks/masks", "Images/types"
PIXEL, LAST = (2, 255, 255, 2), (2, 255, 255, 4)
DAMAGES = {
    "images missing": (lambda folder: (folder / f"{IMAGES}.npy").unlink(), "", "no images.npy was found"),
    "masks missing": (lambda folder: (folder / f"{MASKS}.npy").unlink(), MASKS, "there is no such file"),
    "images one byte short": (cut, IMAGES, "cut short"),
    "four channels": (rewrite(IMAGES, lambda v: v[..., [0, 1, 2, 2]]), IMAGES, "found (3, 256, 256, 4)"),
    "fewer masks": (rewrite(MASKS, lambda v: v[:2]), MASKS, "holds 2: expected as many masks as images"),
    "fewer types": (rewrite(TYPES, lambda v: v[:2]), TYPES, "expected 3 tissue names"),
    "NaN": (put(IMAGES, "f4", PIXEL, np.nan), IMAGES, "expected values from 0 to 255, found nan in tile 2"),
    "infinity": (put(IMAGES, "f4", PIXEL, np.inf), IMAGES, "found inf in tile 2"),
    "negative images": (put(IMAGES, "i2", PIXEL, -1), IMAGES, "expected values from 0 to 255, found -1 in tile 2"),
    "images over 255": (put(IMAGES, "u2", PIXEL, 256), IMAGES, "expected values from 0 to 255, found 256 in tile 2"),
    "images from 0 to 1": (rewrite(IMAGES, lambda v: v / 255), IMAGES, "none above 1; multiply the images by 255"),
    "black images": (rewrite(IMAGES, lambda v: v * 0), IMAGES, "found none above 1"),
    "NaN in masks": (put(MASKS, "f4", LAST, np.nan), MASKS, "expected whole instance numbers, found nan in tile 2"),
    "infinity in masks": (put(MASKS, "f4", LAST, np.inf), MASKS, "found inf in tile 2"),
    "negative ids": (put(MASKS, "i4", LAST, -7), MASKS, "expected whole instance numbers, found -7 in tile 2"),
    "fractional ids": (put(MASKS, "f8", LAST, 2.5), MASKS, "expected whole instance numbers, found 2.5 in tile 2"),
    "ids as background": (put(MASKS, "u2", (2, 0, 0, 5), 7), MASKS, "expected 0 or 1 in channel 5, the background"),
    "all void": (rewrite(MASKS, lambda v: v * 0), MASKS, "expected nuclei, found all six mask channels zero"),
    "background first": (
        rewrite(MASKS, lambda v: np.roll(v, 2, -1)), MASKS, "expected 0 or 1 in channel 5, the background"),
}  # fmt: skip


def assert_refuses(folder: Path, name: str, expected: str) -> None:
    """Check that a data set is refused with one line which names a file, and that nothing is left or changed."""
    before = sources(folder)
    with pytest.raises(InputError) as caught:
        prepared(folder)
    message = str(caught.value)
    assert str(folder / f"{name}.npy" if name else folder) in message
    assert expected in message
    assert "\n" not in message
    assert caches(folder) == []
    assert sources(folder) == before


@pytest.mark.parametrize(("damage", "name", "expected"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_data_sets_are_refused(dataset, damage, name, expected):
    damage(dataset)
    assert_refuses(dataset, name, expected)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("groups", ["a", "b"], "expected 3 source images"),
        ("positions", [[0, 0], [0, 256], [0, -256]], "whole numbers from 0"),
        ("annotated", [[True, True]] * 2, "expected truth values of shape (3, 2)"),
        ("kinds", list("abc"), "expected 5 names of kinds of nuclei (strings or integers), one for each class channel"),
    ],
)
def test_what_stands_beside_and_does_not_fit(dataset, name, values, expected):
    np.save(dataset / f"Images/{name}.npy", values)
    assert_refuses(dataset, f"Images/{name}", expected)


@pytest.mark.parametrize("bad", ["void", "0-1"])
def test_one_bad_fold_of_two(tmp_path, bad):
    write_example(tmp_path, 2, layout="pannuke", number=1)
    images, masks = example_images(2), example_masks(2)
    if bad == "void":
        masks[:] = 0
    else:
        images = images / np.float32(255)
    write_fold(tmp_path, images, masks, layout="pannuke", number=2)
    name = "Fold 2/masks/fold2/masks" if bad == "void" else "Fold 2/images/fold2/images"
    assert_refuses(tmp_path, name, "six mask channels zero" if bad == "void" else "multiply the images by 255")


def test_a_fold_of_empty_tiles_is_no_void_fold(tmp_path):
    cache = prepared(write_fold(tmp_path, example_images(2), empty_masks(2)))
    assert not cache.class_maps.any()
    assert not cache.void.any()


@pytest.mark.parametrize(("size", "labels"), [(31, "nearest"), (257, "nearest"), (64, "median")])
def test_sizes_and_rules_that_do_not_exist(dataset, size, labels):
    with pytest.raises(InputError, match=f"image size {size}" if labels == "nearest" else "labels 'median'"):
        prepared(dataset, size, labels)
    assert caches(dataset) == []


# What it costs.

MEASURED = """
import sys
from pathlib import Path
from helpers.data.prepare import prepare

cache = prepare(Path(sys.argv[1]), 128, progress=False)
assert "torch" not in sys.modules
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(len(cache), int(peak.split()[1]) * 1024 / 1e6)
"""


def write_float64_fold(folder: Path, count: int) -> Path:
    """Write a fold as PanNuke ships it, cheaply: only the first tile takes room on the disk, the others are holes."""
    write_fold(folder, example_images(1).astype(float), example_masks(1).astype(float), ["Breast"] * count)
    for name in (IMAGES, MASKS):
        path = folder / f"{name}.npy"
        first = np.load(path)
        values = np.lib.format.open_memmap(path, mode="w+", dtype=float, shape=(count, *first.shape[1:]))
        values[0] = first[0]
        values.flush()
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_memory_stays_small_whatever_the_size_of_the_fold(tmp_path):
    peaks = []
    for count in (25, 100):
        folder = write_float64_fold(tmp_path / str(count), count)
        child = subprocess.run(
            [sys.executable, "-c", MEASURED, folder], cwd=ROOT, check=True, capture_output=True, text=True
        )
        tiles, peak = child.stdout.split()
        assert int(tiles) == count
        peaks.append(float(peak))
    assert max(peaks) < 750, f"{peaks} MB"
    assert peaks[1] - peaks[0] < 100, f"{peaks} MB"
