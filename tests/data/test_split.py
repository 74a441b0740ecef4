"""Who stands on which side: groups whole, tissues spread, PanNuke's official splits to the letter."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from tiny_run import make_cache

from helpers.data.cache import Cache
from helpers.data.fold import find_folds
from helpers.data.split import draw_groups, split_tiles
from helpers.errors import InputError


def cache_of(tissues, groups=None, fold_numbers=None, official=None) -> Cache:
    """Make a prepared data set of which only what a split looks at is real."""
    count = len(tissues)
    made = make_cache([[0] * 5] * count, tissues, groups=None if groups is None else np.array(groups, str))
    return dataclasses.replace(made, fold_numbers=np.array(fold_numbers or [0] * count), official=official)


def assert_divides(split, count: int) -> None:
    """Check that every tile stands on one side, in order."""
    assert sorted([*split.train, *split.validation]) == list(range(count))
    assert (np.diff(split.train) > 0).all()
    assert (np.diff(split.validation) > 0).all()


def grouped(num_groups: int, seed: int = 0) -> Cache:
    """Give groups of one to nine tiles from seven tissues, in no order."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(num_groups), random.integers(1, 10, num_groups))
    random.shuffle(groups)
    return cache_of([f"tissue {group % 7}" for group in groups], [f"slide {group}" for group in groups])


# By groups.


@pytest.mark.parametrize("num_groups", [2, 3, 5, 8, 12, 13, 23, 88, 100])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fifth_of_the_groups_and_none_on_both_sides(num_groups, seed):
    cache = grouped(num_groups)
    split = split_tiles(cache, seed)
    assert (split.method, split.note) == ("groups", "No source image stands on both sides.")
    assert_divides(split, len(cache))
    train, validation = set(cache.groups[split.train]), set(cache.groups[split.validation])
    assert train & validation == set()
    assert len(train | validation) == num_groups
    assert len(validation) == max(1, round(0.2 * num_groups))


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_spread_over_the_tissues(seed):
    tissue_of = {
        f"{tissue} {number}": tissue
        for tissue, count in zip("abcd", (20, 10, 6, 4), strict=True)
        for number in range(count)
    }
    drawn = draw_groups(np.array(list(tissue_of)), np.array(list(tissue_of.values())), seed)
    assert len(drawn) == len(set(drawn)) == 8
    counts = Counter(tissue_of[group] for group in drawn)
    assert (counts["a"], counts["b"]) == (4, 2)  # a fifth of 20 and of 10
    assert (counts["c"], counts["d"]) in [(1, 1), (2, 0)]  # a fifth is 1.2 and 0.8


def test_a_group_of_several_tissues_stays_whole():
    cache = cache_of(["Breast", "Colon", "Colon"] * 10, np.repeat(list("abcdefghij"), 3))
    split = split_tiles(cache)
    assert len(split.validation) == 6
    assert len(set(cache.groups[split.validation])) == 2


def test_same_seed_same_groups_other_seed_others():
    cache = grouped(50)
    first, again = split_tiles(cache, 3), split_tiles(cache, 3)
    np.testing.assert_array_equal(first.train, again.train)
    np.testing.assert_array_equal(first.validation, again.validation)
    assert len({tuple(split_tiles(cache, seed).validation) for seed in range(5)}) == 5


def test_the_order_of_tiles_does_not_decide():
    cache = grouped(30)
    order = np.random.default_rng(1).permutation(len(cache))
    shuffled = cache_of(cache.tissues[order], cache.groups[order])
    assert set(cache.groups[split_tiles(cache).validation]) == set(shuffled.groups[split_tiles(shuffled).validation])


@pytest.mark.parametrize("num_tissues", [1, 3, 11])
def test_every_group_is_drawn_for_some_seed(num_tissues):
    groups = np.array([f"slide {number}" for number in range(11)])
    tissues = np.array([f"tissue {number % num_tissues}" for number in range(11)])
    drawn = {group for seed in range(100) for group in draw_groups(groups, tissues, seed)}
    assert drawn == set(groups)


def test_one_group_cannot_be_divided():
    with pytest.raises(InputError, match=r"groups\.npy: expected at least 2 source images to divide, found 1"):
        split_tiles(cache_of(["Breast"] * 9, ["slide"] * 9))


def test_groups_that_are_known_are_kept_where_others_are_not():
    groups = np.array(
        [*np.repeat([f"slide {number}" for number in range(4)], 4), *(f"own {tile}" for tile in range(8))]
    )
    cache = cache_of(["Breast"] * 24, groups)
    cache = dataclasses.replace(cache, grouped=np.arange(24) < 16)
    for seed in range(5):
        split = split_tiles(cache, seed)
        assert_divides(split, 24)
        assert split.method == "groups"
        assert set(groups[split.train]) & set(groups[split.validation]) == set()
    assert split.note == (
        "The source image is known of 16 of 24 tiles, and none of those stands on both sides; of the others neighbours "
        "may, which flatters the validation score."
    )


# By tissue, where no groups are known.


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fifth_of_the_tiles_of_each_tissue(seed):
    cache = cache_of(["Breast"] * 50 + ["Colon"] * 30 + ["Bile-duct"] * 20)
    split = split_tiles(cache, seed)
    assert split.method == "tissue"
    assert "neighbours may stand on both sides" in split.note
    assert_divides(split, 100)
    assert Counter(cache.tissues[split.validation]) == {"Breast": 10, "Colon": 6, "Bile-duct": 4}


def test_same_seed_same_tiles_other_seed_others():
    cache = cache_of(["Breast", "Colon"] * 30)
    np.testing.assert_array_equal(split_tiles(cache, 7).validation, split_tiles(cache, 7).validation)
    assert split_tiles(cache, 7).validation.tolist() != split_tiles(cache, 8).validation.tolist()


@pytest.mark.parametrize("singles", [1, 2, 7])
def test_tissues_of_one_tile_leave_the_others_divided_by_tissue(singles):
    cache = cache_of(["Breast"] * 60 + ["Colon"] * 40 + [f"rare {number}" for number in range(singles)])
    for seed in range(5):
        split = split_tiles(cache, seed)
        assert_divides(split, 100 + singles)
        counts = Counter(cache.tissues[split.validation])
        assert counts["Breast"] in (12, 13) if singles > 1 else counts["Breast"] in (11, 12, 13)
        assert counts["Colon"] == 8 if singles == 1 else counts["Colon"] in (8, 9)


@pytest.mark.parametrize("tissues", [["a", "b", "c", "d", "e"], ["a", "a", "b", "b", "c", "c"], ["a"] * 5])
def test_few_tiles_are_divided_as_far_as_they_go(tissues):
    split = split_tiles(cache_of(tissues))
    assert_divides(split, len(tissues))
    assert len(split.validation) == -(-len(tissues) // 5)


def test_too_few_tiles():
    with pytest.raises(InputError, match="made: expected at least 5 tiles to divide 80/20, found 4"):
        split_tiles(cache_of(["Breast"] * 4))


# PanNuke's own.

FOLD_NUMBERS = [0] * 3 + [1] * 4 + [2] * 5
TILES = {1: range(3), 2: range(3, 7), 3: range(7, 12)}  # of each official fold


@pytest.mark.parametrize(("number", "train", "validation", "test"), [(1, 1, 2, 3), (2, 2, 1, 3), (3, 3, 2, 1)])
def test_official_splits(number, train, validation, test):
    split = split_tiles(cache_of(["Breast"] * 12, None, FOLD_NUMBERS, [1, 2, 3]), official=number)
    assert split.method == f"official {number}"
    assert f"train on fold {train}, validate on {validation}, test on {test}" in split.note
    assert split.train.tolist() == list(TILES[train])
    assert split.validation.tolist() == list(TILES[validation])


def test_official_folds_in_another_order():
    split = split_tiles(cache_of(["Breast"] * 12, None, FOLD_NUMBERS, [3, 1, 2]), official=1)
    assert split.train.tolist() == list(TILES[2])
    assert split.validation.tolist() == list(TILES[3])


def test_three_folds_without_groups_take_the_first_official_split():
    split = split_tiles(cache_of(["Breast"] * 12, None, FOLD_NUMBERS, [1, 2, 3]), seed=5)
    assert split.method == "official 1"


def test_three_folds_with_groups_are_divided_by_groups_unless_asked():
    cache = cache_of(["Breast"] * 12, np.arange(12) // 2, FOLD_NUMBERS, [1, 2, 3])
    assert split_tiles(cache).method == "groups"
    assert split_tiles(cache, official=2).method == "official 2"


def test_official_split_without_the_three_folds():
    with pytest.raises(InputError, match=r"made: official split 1 needs PanNuke's three folds .* found 2 fold\(s\)"):
        split_tiles(cache_of(["Breast"] * 12, None, [0] * 6 + [1] * 6), official=1)


@pytest.mark.parametrize("number", [0, 4, -1])
def test_there_are_three_official_splits(number):
    with pytest.raises(InputError, match=f"official split {number}: expected 1, 2 or 3"):
        split_tiles(cache_of(["Breast"] * 12, None, FOLD_NUMBERS, [1, 2, 3]), official=number)


# Tiles that stand there twice.


def doubled(**details) -> Cache:
    """Give twelve tiles, the last six those of the first six again, of two folds."""
    cache = cache_of(["Breast"] * 12, fold_numbers=[0] * 6 + [1] * 6, **details)
    random = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    return dataclasses.replace(
        cache, images=np.tile(random, (2, 1, 1, 1)), tile_digests=np.tile(list("abcdef"), 2),
        fold_files=["Fold 1/images.npy", "old/images.npy"],
    )  # fmt: skip


def split_with_copies() -> dict[str, Cache]:
    """Give data sets whose copies part in every way of dividing."""
    official = dataclasses.replace(doubled(official=[1, 2, 3]), fold_numbers=np.repeat([0, 1, 2], [6, 6, 0]))
    return {"tissue": doubled(), "groups": doubled(groups=np.arange(12)), "official 1": official}


@pytest.mark.parametrize("method", split_with_copies())
def test_copies_on_both_sides_are_refused_and_named(method):
    with pytest.raises(InputError, match=r"made: expected validation tiles that the network is not trained on") as stop:
        split_tiles(split_with_copies()[method])
    count = {"tissue": 3, "groups": 2, "official 1": 6}[method]  # of so many validation tiles, every one
    assert f"found {count} of {count} among the training tiles again" in str(stop.value)
    assert "--drop-copies (in Python: drop_copies=True)" in str(stop.value)


def test_copies_are_named_by_both_places_and_counted():
    cache = doubled()
    assert cache.describe_copies(np.array([0, 7, 8, 2]), np.array([6, 1, 2, 3])) == (
        "1 of Fold 1/images.npy also in Fold 1/images.npy (tile 2 as tile 3); "
        "1 of Fold 1/images.npy also in old/images.npy (tile 0 as tile 0); "
        "2 of old/images.npy also in Fold 1/images.npy (tile 1 as tile 1)"
    )


@pytest.mark.parametrize("method", ["tissue", "groups"])
def test_copies_are_left_out_where_asked(method):
    split = split_tiles(split_with_copies()[method], drop_copies=True)
    assert split.method == f"{method}, copies left out"
    assert split.note.endswith(" 6 copies of other tiles are left out.")
    assert_divides(split, 6)


def test_of_copies_the_one_whose_source_is_known_stays():
    cache = doubled(groups=np.repeat(["own 0", "own 1", "own 2", "a", "b", "c"], 2))
    cache = dataclasses.replace(cache, grouped=np.arange(12) >= 6)
    assert cache.first_copies().tolist() == [6, 7, 8, 9, 10, 11] * 2
    split = split_tiles(cache, drop_copies=True)
    assert sorted([*split.train, *split.validation]) == [6, 7, 8, 9, 10, 11]
    assert split.note.startswith("No source image stands on both sides.")


@pytest.mark.parametrize("seed", range(6))
def test_groups_that_share_an_image_are_one_source(seed):
    groups = np.repeat(["a", "b", "c", "d", "e", "f"], 3)
    cache = cache_of(["Breast"] * 18, groups)
    digests = cache.tile_digests.copy()
    digests[4], digests[16] = digests[1], digests[3]  # b repeats one of a, f another of b
    cache = dataclasses.replace(cache, tile_digests=digests, images=np.arange(36, dtype=np.uint8).reshape(18, 1, 2, 1))
    split = split_tiles(cache, seed, drop_copies=True)
    assert len(split.train) + len(split.validation) == 16
    chosen = set(groups[split.validation])
    assert chosen.isdisjoint(groups[split.train])
    assert {"a", "b", "f"} <= chosen or chosen.isdisjoint({"a", "b", "f"})


def test_copies_on_one_side_are_no_matter_of_the_split():
    split = split_tiles(doubled(groups=np.tile(np.arange(6), 2)))
    assert split.method == "groups"
    assert_divides(split, 12)


def test_without_copies_leaving_them_out_changes_nothing():
    cache = grouped(20)
    one, other = split_tiles(cache, 3), split_tiles(cache, 3, drop_copies=True)
    assert (one.method, one.note) == (other.method, other.note)
    np.testing.assert_array_equal(one.validation, other.validation)


def test_glass_may_stand_on_both_sides():
    cache = doubled()
    split_tiles(dataclasses.replace(cache, images=np.zeros_like(cache.images)))


# Real tissue.


def test_real_groups_stay_whole_and_tissues_are_spread(real_dataset):
    folds = find_folds(real_dataset)
    if any(fold.groups is None for fold in folds):
        pytest.skip(f"{real_dataset} has no groups.npy")
    tissues = np.concatenate([fold.tissues for fold in folds])
    groups = np.concatenate([fold.groups for fold in folds])
    names = np.unique(groups)
    share = round(0.2 * len(names)) / len(names)
    for seed in range(3):
        split = split_tiles(cache_of(tissues, groups), seed)
        validation = np.unique(groups[split.validation])
        assert len(validation) == round(0.2 * len(names))  # 18 of 88
        assert not np.isin(groups[split.train], validation).any()
        assert_divides(split, len(tissues))
        tissue_of = {name: Counter(tissues[groups == name].tolist()).most_common(1)[0][0] for name in names}
        drawn = Counter(tissue_of[name] for name in validation)
        for tissue, count in Counter(tissue_of.values()).items():
            assert abs(drawn[tissue] - share * count) < 1, f"{drawn[tissue]} of {count} groups of {tissue}"
