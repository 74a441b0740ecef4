"""What is warned of: tiles that stand there twice, numbers that folds share, masks that are nearly all nuclei."""

import dataclasses
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from folds import empty_masks, example_images, example_masks, write_example, write_fold
from tiny_run import make_cache

from helpers.data.cache import Cache
from helpers.data.prepare import prepare
from helpers.data.suspicions import MOST_NUCLEI, warn_of
from helpers.errors import InputWarning


@pytest.fixture
def tmp_path(tmp_path) -> Iterator[Path]:
    """An empty folder; removed at once, for pytest would keep it."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def warnings_of(call, *arguments) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*arguments)
    assert {warning.category for warning in caught} <= {InputWarning}
    return [str(warning.message) for warning in caught]


def prepared(folder: Path) -> list[str]:
    return warnings_of(lambda: prepare(folder, 32, progress=False))


def test_the_same_tiles_in_another_layout_are_named_each_time(tmp_path):
    write_example(tmp_path, 3)
    write_example(tmp_path, 2, layout="pannuke", number=1)
    for _ in range(2):  # the second time from the cache
        (message,) = prepared(tmp_path)
        assert message == (
            f"{tmp_path.name}: expected every tile once, found 2 of 5 again: 2 of Images/images.npy also in "
            "Fold 1/images/fold1/images.npy (tile 0 as tile 0); move one copy away, or train with --drop-copies "
            "(in Python: drop_copies=True)"
        )


def test_a_tile_twice_in_one_file_is_named_by_its_numbers(tmp_path):
    images = example_images(3)
    write_fold(tmp_path, images[[0, 1, 2, 1]], example_masks(4))
    (message,) = prepared(tmp_path)
    assert "found 1 of 4 again: 1 of Images/images.npy also in Images/images.npy (tile 3 as tile 1)" in message


def test_glass_is_no_copy(tmp_path):
    images = example_images(4)
    images[1:3] = 243
    write_fold(tmp_path, images, example_masks(4))
    assert prepared(tmp_path) == []


def test_numbers_of_several_folds_are_named_and_names_are_not(tmp_path):
    for number in (1, 2):
        folder = write_example(
            tmp_path / "numbers", 3, number, layout="pannuke", number=number, groups=[0, 7, 7 + number]
        )
        write_example(tmp_path / "names", 3, number, layout="pannuke", number=number, groups=["a", "b", f"{number}"])
    (message,) = prepared(folder)
    assert "found 2 numbers that stand in groups.npy of more than one fold, such as 0: each is taken as one" in message
    assert prepared(tmp_path / "names") == []


def test_masks_with_the_background_first(tmp_path):
    masks = example_masks(2)
    write_fold(tmp_path / "right", example_images(2), masks)
    write_fold(tmp_path / "wrong", example_images(2), np.roll((masks > 0).astype(np.uint16), 1, axis=-1))
    assert prepared(tmp_path / "right") == []
    (message,) = prepared(tmp_path / "wrong")
    assert message.startswith("wrong: the masks of Images/images.npy: expected nuclei on about a fifth of the pixels, ")
    assert "move it from first to last with numpy.roll(masks, -1, axis=-1)" in message


def test_one_fold_of_nuclei_is_named_among_others(tmp_path):
    write_example(tmp_path, 2, seed=1, layout="pannuke", number=1)
    masks = empty_masks(2)
    masks[..., 0], masks[..., 5] = 1, 0
    write_fold(tmp_path, example_images(2, seed=2), masks, layout="pannuke", number=2)
    (message,) = prepared(tmp_path)
    assert "the masks of Fold 2/images/fold2/images.npy" in message
    assert "found them on 100%" in message


@pytest.mark.parametrize(("share", "warned"), [(MOST_NUCLEI - 0.02, False), (MOST_NUCLEI + 0.02, True)])
def test_the_mean_over_a_fold_decides(share, warned):
    cache = make_cache([[0] * 5] * 4, ["Breast"] * 4)
    cache = dataclasses.replace(cache, nuclei_shares=share + np.array([-0.1, 0.1, -0.2, 0.2]))
    assert bool(warnings_of(warn_of, cache)) is warned


def test_real_tissue_is_beyond_suspicion(real_dataset):
    cache: Cache = prepare(real_dataset, 256, "majority", progress=False)  # a warning would be an error
    assert cache.nuclei_shares.max() < MOST_NUCLEI
    np.testing.assert_array_equal(cache.first_copies(), np.arange(len(cache)))
