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

from helpers.config import OUTPUTS, Recipe
from helpers.data.augmentation import build_augmentation
from helpers.data.cache import Cache
from helpers.data.split import Split
from helpers.data.targets import interior_map
from helpers.errors import InputError
from helpers.normalization import denormalize, normalize
from helpers.training.control import LAPS, control_recipe, control_window
from helpers.training.loaders import TileDataset, derive_seed, find_pictures, make_loaders, nuclei_share, start_epoch

# What torch says where there are fewer cores than workers.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create .* worker processes:UserWarning")

SIZE, TILES = 32, 12
RECIPE = Recipe("test", image_size=SIZE, batch_size=3, seed=5)
FLIPS = build_augmentation(("flips",))
MAPPED = ("images", "class_maps", "instances")


@pytest.fixture(scope="module")
def cache() -> Cache:
    """Tiles whose red channel is 40 times their class map, of no symmetry, the last one blank."""
    generator = np.random.default_rng(0)
    class_maps = generator.integers(0, 6, (TILES, SIZE, SIZE), np.uint8)
    class_maps[-1] = 0
    images = generator.integers(0, 256, (TILES, SIZE, SIZE, 3), np.uint8)
    images[..., 0] = 40 * class_maps
    images[-1] = 255
    # Nuclei fill a block of 8 x 8 pixels each, where they are not background.
    blocks = 300 + np.add.outer(np.arange(SIZE) // 8 * 4, np.arange(SIZE) // 8)
    instances = np.where(class_maps > 0, blocks, 0).astype(np.uint16)
    made = make_cache([[1] * 5] * TILES, ["Breast"] * TILES)
    return dataclasses.replace(made, image_size=SIZE, images=images, class_maps=class_maps, instances=instances)


@pytest.fixture(scope="module")
def split() -> Split:
    return Split("tissue", "", np.arange(8), np.arange(8, TILES))


def same(first: object, second: object) -> bool:
    """Compare tensors bit for bit, and all that tuples, lists and dictionaries hold of them."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[key], second[key]) for key in first)
    return len(first) == len(second) and all(map(same, first, second))


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
    for name, shape, dtype in (
        ("images", (count, size, size, 3), np.uint8),
        ("class_maps", (count, size, size), np.uint8),
        ("instances", (count, size, size), np.uint16),
    ):
        values = np.lib.format.open_memmap(tmp_path / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
        values[:4] = np.random.default_rng(0).integers(0, 6, values[:4].shape)
        values.flush()
        arrays[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    dataset = TileDataset(dataclasses.replace(made, **arrays), np.arange(count), FLIPS, seed=2)
    dataset.epoch.fill_(3)
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 100_000  # of 190 MB
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
    for name in MAPPED:
        np.save(tmp_path / f"{name}.npy", getattr(cache, name))
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in MAPPED}
    dataset = TileDataset(dataclasses.replace(cache, **mapped), np.arange(6), FLIPS, seed=2, outputs=OUTPUTS)
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
    recipe = control_recipe(RECIPE, 8)
    loaders = make_loaders(cache, Split("tissue", "", split.train, split.train), recipe)
    again = make_loaders(cache, Split("tissue", "", split.train, split.train), recipe)
    masks = cache.class_maps[:, 8:24, 8:24] > 0
    for loader, same_loader in zip(loaders, again, strict=True):
        given = set()
        for item, index in enumerate(loader.dataset.indices):
            image, mask = loader.dataset[item]
            assert torch.equal(image, normalize(cache.images[index : index + 1, 8:24, 8:24])[0])
            assert torch.equal(mask, same_loader.dataset[item][1])
            (other,) = np.flatnonzero((masks == mask[0].numpy()).all((1, 2)))
            given.add((int(index), int(other)))
        assert [index for index, _ in sorted(given)] == sorted(other for _, other in given) == split.train.tolist()
        assert all(index != other for index, other in given)
    assert len(loaders[0].dataset) == LAPS * len(loaders[1].dataset)


# What is learnt beside nuclei.


def test_targets_by_hand(cache):
    image, targets = TileDataset(cache, np.array([3]), outputs=OUTPUTS)[0]
    assert torch.equal(image, normalize(cache.images[3:4])[0])
    assert {name: (tuple(values.shape), values.dtype) for name, values in targets.items()} == {
        "nuclei": ((1, SIZE, SIZE), torch.float32),
        "known": ((2,), torch.bool),
        "kinds": ((SIZE, SIZE), torch.int64),
        "interior": ((1, SIZE, SIZE), torch.float32),
    }
    assert all(type(values) is torch.Tensor for values in targets.values())
    np.testing.assert_array_equal(targets["nuclei"][0], cache.class_maps[3] > 0)
    np.testing.assert_array_equal(targets["kinds"], cache.class_maps[3].astype(int) - 1)
    np.testing.assert_array_equal(targets["interior"], interior_map(cache.instances[3]))
    assert targets["known"].tolist() == [True, True]


@pytest.mark.parametrize("outputs", [("nuclei", "interior"), ("nuclei", "kinds")])
def test_only_what_is_to_be_learnt_is_served(cache, outputs):
    assert set(TileDataset(cache, np.array([0]), outputs=outputs)[0][1]) == {"known", *outputs}


def test_kinds_that_are_not_learnt_and_tiles_of_unknown_kinds_have_none(cache):
    nuclei = np.tile([[0, 1, 0, 2, 3]], (TILES, 1))  # of channels 0 and 2 none is known; 3 and 4 are of one name
    annotated = np.ones((TILES, 2), bool)
    annotated[5] = False, True
    changed = dataclasses.replace(cache, nuclei=nuclei, annotated=annotated, kinds=("a", "b", "c", "d", "d"))
    assert changed.known_kinds == ("b", "d")
    dataset = TileDataset(changed, np.array([4, 5]), outputs=OUTPUTS)
    expected = np.array([-1, -1, 0, -1, 1, 1])[cache.class_maps[4]]
    np.testing.assert_array_equal(dataset[0][1]["kinds"], expected)
    assert (dataset[1][1]["kinds"] == -1).all()
    assert [dataset[item][1]["known"].tolist() for item in (0, 1)] == [[True, True], [False, True]]
    np.testing.assert_array_equal(dataset[1][1]["nuclei"][0], cache.class_maps[5] > 0)


def test_masks_of_other_tiles_bring_what_is_known_of_them(cache):
    annotated = np.random.default_rng(1).random((TILES, 2)) < 0.5
    masks_of = np.random.default_rng(0).permutation(TILES)
    dataset = TileDataset(
        dataclasses.replace(cache, annotated=annotated), np.arange(TILES), masks_of=masks_of, outputs=OUTPUTS
    )
    window = control_window(cache.image_size)
    for item, other in enumerate(masks_of):
        image, targets = dataset[item]
        assert torch.equal(image, normalize(cache.images[item : item + 1, *window])[0])
        np.testing.assert_array_equal(targets["nuclei"][0], cache.class_maps[other][window] > 0)
        np.testing.assert_array_equal(targets["interior"], interior_map(cache.instances[other][window]))
        assert targets["known"].tolist() == annotated[other].tolist()


def test_all_targets_go_through_one_augmentation(cache):
    dataset = TileDataset(cache, np.arange(TILES), FLIPS, seed=3, outputs=OUTPUTS)
    plain = TileDataset(cache, np.arange(TILES), FLIPS, seed=3)
    flipped = 0
    for item in range(TILES - 1):
        image, targets = dataset[item]
        assert same((image, targets["nuclei"]), plain[item])  # as for nuclei alone
        assert torch.equal(targets["nuclei"][0], (targets["kinds"] >= 0).float())
        ways = [(up, left) for up in (1, -1) for left in (1, -1)]
        (way,) = (way for way in ways if np.array_equal(red_of(image), cache.images[item, :: way[0], :: way[1], 0]))
        flipped += way != (1, 1)
        np.testing.assert_array_equal(
            targets["interior"][0], interior_map(cache.instances[item])[0, :: way[0], :: way[1]]
        )
    assert flipped > 3


# Windows of whole pictures.

ROWS, COLUMNS = (0, 32, 48), (0, 32, 40)  # of the tiles of a picture of 80 x 72 pixels: the last ones overlap


def place_image(height: int, width: int) -> np.ndarray:
    """Give `(height, width, 3)` uint8 whose red is the row of each pixel, whose green its column; blue is 7."""
    rows, columns = np.indices((height, width))
    return np.stack([rows, columns, np.full_like(rows, 7)], axis=-1).astype(np.uint8)


def place_numbers(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Give class maps and numbers of nuclei that tell the place of each pixel likewise."""
    rows, columns = np.indices((height, width))
    return ((rows * 3 + columns) % 6).astype(np.uint8), (rows * 500 + columns).astype(np.uint16)


def mosaic(rows=ROWS, columns=COLUMNS, extents: list | None = None) -> Cache:
    """Cut a picture into tiles of 32 pixels, as the cache of 256 halved three times holds them; one more stands alone.

    What lies beyond the picture's size, as `extents` in full-size pixels tell it, is white.
    """
    places = [(row, column) for row in rows for column in columns]
    size = (max(rows) + SIZE, max(columns) + SIZE)
    whole = (place_image(*size), *place_numbers(*size))
    tiles = [[values[row : row + SIZE, column : column + SIZE].copy() for row, column in places] for values in whole]
    for number, (height, width) in enumerate(extents or []):
        for values in tiles:
            values[number][height // 8 :] = values[number][:, width // 8 :] = 255
    arrays = [np.stack([*values, values[0]]) for values in tiles]
    made = make_cache([[1] * 5] * (len(places) + 1), ["Breast"] * (len(places) + 1))
    return dataclasses.replace(
        made, image_size=SIZE, images=arrays[0], class_maps=arrays[1], instances=arrays[2],
        pictures=np.array([*["p"] * len(places), "alone"]),
        positions=np.array([*places, (0, 0)]) * 8,
        extents=np.array([*(extents or [(256, 256)] * len(places)), (256, 256)]),
    )  # fmt: skip


def cut(dataset: TileDataset, item: int) -> tuple[int, int]:
    """Check that a window is what the whole picture holds there; return its corner."""
    shown = denormalize(dataset[item][0][None])[0]
    row, column = (int(shown[0, 0, channel]) for channel in (0, 1))
    np.testing.assert_array_equal(shown, place_image(112, 112)[row : row + SIZE, column : column + SIZE])
    # Before the tensors are made, where all three are to be seen.
    image, class_map, instances = dataset._cut(
        int(dataset.indices[item]), derive_seed(dataset.seed, int(dataset.epoch), int(dataset.indices[item]))
    )
    np.testing.assert_array_equal(image, shown)
    for found, values in zip((class_map, instances), place_numbers(112, 112), strict=True):
        np.testing.assert_array_equal(found, values[row : row + SIZE, column : column + SIZE])
    return row, column


def corners(dataset: TileDataset, epochs: int = 40, items: int | None = None) -> list[tuple[int, int]]:
    """List where the windows of some epochs begin."""
    found = []
    for epoch in range(epochs):
        dataset.epoch.fill_(epoch)
        found += [cut(dataset, item) for item in range(items or len(dataset))]
    return found


def test_windows_are_cut_from_anywhere_in_the_whole_picture():
    cache = mosaic()
    dataset = TileDataset(cache, np.arange(9), crops=True)
    found = corners(dataset)
    for axis, last in ((0, 48), (1, 40)):
        among = np.array(found)[:, axis]
        assert (among.min(), among.max()) == (0, last)
        assert len(np.unique(among)) == last + 1  # every row and column can begin one
    assert abs(np.corrcoef(np.array(found).T)[0, 1]) < 0.2
    without = TileDataset(cache, np.arange(9))
    assert [cut(without, item) for item in range(9)] == [(row, column) for row in ROWS for column in COLUMNS]


def test_windows_change_with_epoch_seed_and_tile_and_come_again():
    cache = mosaic()
    found = {seed: corners(TileDataset(cache, np.arange(9), seed=seed, crops=True), 3) for seed in (0, 1)}
    assert len({*found[0], *found[1]}) > 40
    assert found[0] != found[1]
    torch.manual_seed(5)
    dataset = TileDataset(cache, np.arange(9), seed=1, crops=True)
    dataset.epoch.fill_(2)  # as in a run that is taken up there
    assert [cut(dataset, item) for item in reversed(range(9))] == found[1][:17:-1]


def test_padding_is_never_cut():
    # The lower tiles hold 25 rows of the picture, those on the right 16 columns: it is 57 x 48 pixels.
    extents = [(256, 256), (256, 128), (200, 256), (200, 128)]
    dataset = TileDataset(mosaic((0, 32), (0, 32), extents), np.arange(4), crops=True)
    found = np.array(corners(dataset))
    assert found.max(0).tolist() == [57 - SIZE, 48 - SIZE]


@pytest.mark.parametrize(
    "change",
    [
        {"pictures": None},
        {"positions": None},
        # Not in whole pixels of the cache, though they fill the picture.
        {"positions": np.array([*[(row * 8, max(column * 8 - 1, 0)) for row in ROWS for column in COLUMNS], (0, 0)])},
        {"annotated": np.eye(10, 2) > 0},  # not the same is known of all
    ],
)
def test_tiles_whose_picture_cannot_be_put_together_stay_themselves(change):
    assert find_pictures(dataclasses.replace(mosaic(), **change), np.arange(10)) == {}


def test_tiles_alone_and_pictures_of_which_a_part_validates_stay_themselves():
    cache = mosaic()
    assert set(find_pictures(cache, np.arange(10))) == set(range(9))
    assert find_pictures(cache, np.array([9])) == {}
    assert find_pictures(cache, np.delete(np.arange(10), 4)) == {}  # a hole
    dataset = TileDataset(cache, np.array([9]), crops=True)
    assert set(corners(dataset, 5)) == {(0, 0)}
    # The upper two rows fill a rectangle of their own; nothing of the third is shown.
    found = np.array(corners(TileDataset(cache, np.arange(6), crops=True)))
    assert found.max(0).tolist() == [32, 40]


def test_validation_and_shuffled_masks_get_no_windows():
    cache, split = mosaic(), Split("tissue", "", np.arange(9), np.array([9]))
    recipe = dataclasses.replace(RECIPE, random_crops=True, augmentation=())
    train, validation = make_loaders(cache, split, recipe)
    assert len(train.dataset.pictures) == 9
    assert not validation.dataset.pictures
    assert not make_loaders(cache, split, RECIPE)[0].dataset.pictures
    shuffled, _ = make_loaders(cache, split, dataclasses.replace(recipe, shuffled_masks=9))
    assert not shuffled.dataset.pictures


def test_places_of_many_tiles_travel_lightly():
    # As many tiles as PanNuke has, sixteen a picture.
    count = 7_888
    made = make_cache([[1] * 5] * count, ["Breast"] * count)
    places = np.tile([(row, column) for row in range(0, 1024, 256) for column in range(0, 1024, 256)], (count // 16, 1))
    cache = dataclasses.replace(
        made, image_size=SIZE, pictures=np.array([f"p{tile // 16}" for tile in range(count)]), positions=places
    )
    dataset = TileDataset(cache, np.arange(count), crops=True)
    assert len(dataset.pictures) == count
    assert len(pickle.dumps(dataset.pictures)) < 250_000  # 26 bytes a tile


def test_workers_give_the_same_windows_and_targets():
    cache = mosaic()
    augmentation = build_augmentation(("flips", "turns", "scale", "elastic"))
    dataset = TileDataset(cache, np.arange(10), augmentation, 2, outputs=OUTPUTS, crops=True)
    dataset.epoch.fill_(3)
    alone, together = (list(DataLoader(dataset, 4, num_workers=workers)) for workers in (0, 2))
    assert len(alone) == 3
    assert same(alone, together)
    assert same(pickle.loads(pickle.dumps(dataset))[7], dataset[7])
