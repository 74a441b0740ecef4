"""Batches: the numbers the network sees, and that the seed, the epoch and the tile alone decide them."""

import dataclasses
import pickle
import random

import numpy as np
import pytest
import torch
from nightly import NIGHTLY
from tiny_run import make_cache
from torch.utils.data import DataLoader

from helpers.config import Recipe
from helpers.data.augmentation import build_augmentation
from helpers.data.cache import Cache
from helpers.data.split import Split
from helpers.errors import InputError
from helpers.normalization import denormalize, normalize
from helpers.training.loaders import TileDataset, derive_seed, make_loaders, nuclei_share, start_epoch

SIZE, TILES = 32, 12
RECIPE = Recipe("test", image_size=SIZE, batch_size=3, seed=5)
FLIPS = build_augmentation(("flips",), SIZE)


@pytest.fixture(scope="module")
def cache() -> Cache:
    """Tiles whose red channel is 40 times their class map, of no symmetry, the last one blank."""
    generator = np.random.default_rng(0)
    class_maps = generator.integers(0, 6, (TILES, SIZE, SIZE), np.uint8)
    class_maps[-1] = 0
    images = generator.integers(0, 256, (TILES, SIZE, SIZE, 3), np.uint8)
    images[..., 0] = 40 * class_maps
    images[-1] = 255
    made = make_cache([[1] * 5] * TILES, ["Breast"] * TILES)
    return dataclasses.replace(made, image_size=SIZE, images=images, class_maps=class_maps)


@pytest.fixture(scope="module")
def split() -> Split:
    return Split("tissue", "", np.arange(8), np.arange(8, TILES))


def same(first: tuple, second: tuple) -> bool:
    return all(map(torch.equal, first, second))


def red_of(image: torch.Tensor) -> np.ndarray:
    return denormalize(image[None])[0, ..., 0]


def test_pair_by_hand(cache):
    image, mask = TileDataset(cache, np.array([7, 3]))[1]
    assert (image.shape, image.dtype) == ((3, SIZE, SIZE), torch.float32)
    assert (mask.shape, mask.dtype) == ((1, SIZE, SIZE), torch.float32)
    assert type(image) is type(mask) is torch.Tensor
    np.testing.assert_array_equal(mask[0], cache.class_maps[3] > 0)  # nuclei of any class
    assert torch.equal(image, normalize(cache.images[3:4])[0])


def test_a_flip_flips_the_mask_too(cache):
    dataset = TileDataset(cache, np.arange(TILES), FLIPS)
    seen = set()
    for epoch in range(4):
        dataset.epoch.fill_(epoch)
        for index in range(TILES - 1):
            image, mask = dataset[index]
            np.testing.assert_array_equal(mask[0], red_of(image) > 0)
            flips = [
                (up, left)
                for up in (1, -1)
                for left in (1, -1)
                if np.array_equal(red_of(image), cache.images[index, ::up, ::left, 0])
            ]
            assert len(flips) == 1  # a flip and nothing else
            seen.add(flips[0])
    assert len(seen) == 4


def test_half_of_the_tiles_are_flipped_each_way(cache):
    dataset = TileDataset(cache, np.array([0]), FLIPS)
    red, found = cache.images[0, ..., 0], []
    both = red[::-1, ::-1]
    for epoch in range(300):
        dataset.epoch.fill_(epoch)
        shown = red_of(dataset[0][0])
        found.append([any(np.array_equal(shown, way) for way in (one, both)) for one in (red[:, ::-1], red[::-1])])
    np.testing.assert_allclose(np.mean(found, axis=0), 0.5, atol=0.12)  # four standard errors


def test_blank_tile(cache):
    image, mask = TileDataset(cache, np.array([TILES - 1]), FLIPS)[0]
    assert not mask.any()
    np.testing.assert_array_equal(denormalize(image[None]), cache.images[-1:])


def test_order_of_asking_changes_nothing(cache):
    forwards, backwards = (TileDataset(cache, np.arange(TILES), FLIPS, seed=1) for _ in range(2))
    expected = [forwards[item] for item in range(TILES)]
    torch.manual_seed(123)
    for item in reversed(range(TILES)):
        assert same(backwards[item], expected[item])
        torch.rand(3)  # nor does what happens in between
    # It is the tile's number that counts, not its place in the list.
    assert same(TileDataset(cache, np.array([9]), FLIPS, seed=1)[0], expected[9])


def test_epoch_and_seed_change_the_flips(cache):
    def masks(seed: int, epoch: int) -> list:
        dataset = TileDataset(cache, np.arange(TILES), FLIPS, seed)
        dataset.epoch.fill_(epoch)
        return [dataset[item] for item in range(TILES)]

    first = masks(0, 1)
    assert all(map(same, first, masks(0, 1)))
    assert not all(map(same, first, masks(0, 2)))
    assert not all(map(same, first, masks(1, 1)))


def test_global_random_state_is_left_alone(cache):
    dataset = TileDataset(cache, np.arange(TILES), FLIPS)
    before = torch.get_rng_state(), random.getstate()
    for item in range(TILES):
        dataset[item]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_derived_seeds_depend_on_every_number_and_its_place():
    seeds = {derive_seed(*numbers) for numbers in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (0, 1, 3), (0, 1, 0), (0, 0, 0))}
    assert len(seeds) == 6
    assert derive_seed(3, 4, 5) == derive_seed(3, 4, 5)
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_validation_is_never_augmented(cache, split):
    train_loader, validation_loader = make_loaders(cache, split, RECIPE)
    for epoch in (1, 2, 3):
        start_epoch(train_loader, epoch)
        images, masks = map(torch.cat, zip(*validation_loader, strict=True))
        assert torch.equal(images, normalize(cache.images[8:]))
        np.testing.assert_array_equal(masks[:, 0], cache.class_maps[8:] > 0)
    assert validation_loader.dataset.transform is None
    assert train_loader.dataset.transform is not None


def test_every_training_tile_once_an_epoch(cache, split):
    train_loader, _ = make_loaders(cache, split, RECIPE)
    start_epoch(train_loader, 1)
    batches = list(train_loader)
    assert [len(images) for images, _ in batches] == [3, 3, 2]  # none left out
    # Flips keep the sum of a tile.
    sums = sorted(int(red_of(image).astype(int).sum()) for images, _ in batches for image in images)
    assert sums == sorted(cache.images[:8, ..., 0].astype(int).sum((1, 2)).tolist())


def test_start_of_an_epoch_decides_all_that_is_random(cache, split):
    train_loader, _ = make_loaders(cache, split, RECIPE)

    def epoch(number: int, loader: DataLoader = train_loader) -> list[torch.Tensor]:
        start_epoch(loader, number)
        return [tensor for batch in loader for tensor in batch] + [torch.rand(3)]

    first, second = epoch(1), epoch(2)
    assert not same(first, second)
    assert not torch.equal(first[-1], second[-1])
    assert same(first, epoch(1))
    torch.manual_seed(77)
    fresh, _ = make_loaders(cache, split, RECIPE)
    assert same(second, epoch(2, fresh))  # as in a run that is taken up at epoch 2
    other, _ = make_loaders(cache, split, dataclasses.replace(RECIPE, seed=6))
    assert not same(first, epoch(1, other))


def test_tiles_come_in_another_order_each_epoch(cache, split):
    train_loader, _ = make_loaders(cache, split, RECIPE)
    orders = set()
    for number in range(1, 5):
        start_epoch(train_loader, number)
        orders.add(tuple(train_loader.sampler))
    assert len(orders) == 4
    assert all(sorted(order) == list(range(8)) for order in orders)


def test_nuclei_share_by_hand(cache):
    class_maps = np.zeros((3, 2, 4), np.uint8)
    class_maps[0, 0] = [1, 2, 0, 5]  # 3 of 8
    class_maps[2] = 4  # all
    small = dataclasses.replace(cache, class_maps=class_maps)
    assert nuclei_share(small, np.array([0, 1])) == pytest.approx(3 / 16)
    assert nuclei_share(small, np.array([0, 1, 2])) == pytest.approx(11 / 24)
    assert nuclei_share(small, np.array([1])) == 0


def test_dataset_travels_to_a_worker_that_starts_afresh(cache):
    dataset = TileDataset(cache, np.arange(TILES), FLIPS, seed=2)
    dataset.epoch.fill_(3)
    arrived = pickle.loads(pickle.dumps(dataset))
    assert all(same(arrived[item], dataset[item]) for item in range(TILES))


def test_only_the_path_of_a_prepared_data_set_travels(tmp_path):
    # As many tiles as PanNuke has in three folds; the files are sparse, and no more than their first tiles are read.
    count, size = 7_901, 64
    made = make_cache([[1] * 5] * count, ["Breast"] * count)
    arrays = {}
    for name, shape in (("images", (count, size, size, 3)), ("class_maps", (count, size, size))):
        values = np.lib.format.open_memmap(tmp_path / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)
        values[:4] = np.random.default_rng(0).integers(0, 6, values[:4].shape)
        values.flush()
        arrays[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    dataset = TileDataset(dataclasses.replace(made, **arrays), np.arange(count), FLIPS, seed=2)
    dataset.epoch.fill_(3)
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 100_000  # of 130 MB
    arrived = pickle.loads(pickled)
    assert isinstance(arrived.images, np.memmap)
    assert all(same(arrived[item], dataset[item]) for item in range(4))
    (tmp_path / "images.npy").rename(tmp_path / "elsewhere.npy")
    with pytest.raises(InputError, match="images.npy: cannot be read"):
        pickle.loads(pickled)


def test_a_part_of_a_mapped_file_travels_whole(cache, tmp_path):
    np.save(tmp_path / "images.npy", cache.images)
    part = np.load(tmp_path / "images.npy", mmap_mode="r")[3:]
    dataset = TileDataset(dataclasses.replace(cache, images=part), np.arange(4))
    assert same(pickle.loads(pickle.dumps(dataset))[1], dataset[1])


def test_workers_change_nothing(cache, tmp_path):
    np.save(tmp_path / "images.npy", cache.images)
    mapped = dataclasses.replace(cache, images=np.load(tmp_path / "images.npy", mmap_mode="r"))
    dataset = TileDataset(mapped, np.arange(6), FLIPS, seed=2)
    dataset.epoch.fill_(3)
    alone = list(DataLoader(dataset, 2))
    together = list(DataLoader(dataset, 2, num_workers=2))
    assert len(alone) == len(together) == 3
    assert all(map(same, alone, together))


@pytest.mark.skipif(not NIGHTLY, reason="starts Python anew: tried every night")
def test_spawned_workers_change_nothing(cache, tmp_path):
    for name in ("images", "class_maps"):
        np.save(tmp_path / f"{name}.npy", getattr(cache, name))
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("images", "class_maps")}
    dataset = TileDataset(dataclasses.replace(cache, **mapped), np.arange(6), FLIPS, seed=2)
    spawned = DataLoader(dataset, 2, num_workers=1, multiprocessing_context="spawn")
    assert all(map(same, spawned, DataLoader(dataset, 2)))


def test_workers_that_live_on_see_the_epoch_change(cache, split):
    alone, _ = make_loaders(cache, split, RECIPE)
    together, _ = make_loaders(cache, split, RECIPE, workers=2)
    for number in (1, 2):
        for loader in (alone, together):
            start_epoch(loader, number)
        assert all(map(same, alone, together))


def test_shuffled_masks_are_those_of_other_tiles_and_the_same_each_time(cache, split):
    plain = dataclasses.replace(RECIPE, augmentation=())
    loaders = make_loaders(cache, split, dataclasses.replace(plain, shuffled_masks=True))
    again = make_loaders(cache, split, dataclasses.replace(plain, shuffled_masks=True))
    moved = 0
    for loader, same_loader in zip(loaders, again, strict=True):
        for item, index in enumerate(loader.dataset.indices):
            image, mask = loader.dataset[item]
            assert torch.equal(image, normalize(cache.images[index : index + 1])[0])
            assert torch.equal(mask, same_loader.dataset[item][1])
            own = [np.array_equal(mask[0], class_map > 0) for class_map in cache.class_maps]
            assert any(own)  # a whole mask of another tile
            moved += not own[index]
    assert moved > TILES / 2
