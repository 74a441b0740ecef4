"""The generated fold: PanNuke's layout to the letter, its traps, and the same sample on every machine."""

import hashlib

import cv2
import numpy as np
import pytest

from helpers.config import BACKGROUND_CHANNEL, CLASS_NAMES
from helpers.data.fold import find_folds
from helpers.data.fold_writer import Tile
from helpers.data.stitching import stitch
from helpers.errors import InputError
from helpers.pictures.reading import open_picture
from helpers.sample_tissue.sample import sample_field, sample_tiles, write_sample_fold, write_sample_picture
from helpers.sample_tissue.tissue import TISSUES
from helpers.stain import separate_stains

# Of the first eight tiles of seed 0. If they change, so does every figure of the quick run: change both or neither.
LABELS_SHA256 = "f4f652a84d4d3e8fa0ba4db75f6ffc0aed7dcc2d3ed4abb59e4828726f542b94"
PIXELS = {  # tile, row, column
    (0, 10, 10): (109, 42, 109),
    (0, 128, 200): (192, 134, 176),
    (2, 60, 77): (158, 95, 146),
    (3, 250, 5): (131, 49, 108),
    (5, 100, 100): (76, 46, 124),
    (7, 33, 222): (79, 38, 116),
}


@pytest.fixture(scope="module")
def tiles() -> list[Tile]:
    """The first 40 tiles of seed 0."""
    return list(sample_tiles(40))


@pytest.mark.parametrize(
    ("given", "dtype", "mask_dtype"),
    [({}, np.float64, np.float64), ({"dtype": "uint8"}, np.uint8, np.uint16)],  # as PanNuke ships it, unless asked
)
def test_fold_on_disk(tmp_path, tiles, given, dtype, mask_dtype):
    (fold,) = find_folds(write_sample_fold(tmp_path / "Fold 1", num_tiles=5, **given))
    assert (fold.images.dtype, fold.masks.dtype) == (dtype, mask_dtype)
    np.testing.assert_array_equal(fold.images.read(0, 5), [tile.image for tile in tiles[:5]])
    np.testing.assert_array_equal(fold.masks.read(0, 5), [tile.masks for tile in tiles[:5]])
    assert fold.tissues.tolist() == ["Breast"] * 4 + ["Colon"]
    assert fold.groups.tolist() == ["sample-0-000"] * 4 + ["sample-0-001"]
    assert fold.positions.tolist() == [[0, 0], [0, 256], [256, 0], [256, 256], [0, 0]]


def test_background_is_where_no_nucleus_is(tiles):
    for tile in tiles:
        if tile.masks.any():
            nothing = tile.masks[..., :BACKGROUND_CHANNEL].max(axis=-1) == 0
            np.testing.assert_array_equal(tile.masks[..., BACKGROUND_CHANNEL], nothing)


def test_traps_of_pannuke_are_there(tiles):
    nuclei = [tile.masks[..., :BACKGROUND_CHANNEL].any() for tile in tiles]
    void = [index for index, tile in enumerate(tiles) if not tile.masks.any()]
    empty = [index for index, tile in enumerate(tiles) if tile.masks.any() and not nuclei[index]]
    assert void == [15]  # the last tile of slide 3
    assert empty == [11, 39]  # of slides 2 and 9
    assert all((tiles[index].masks[..., BACKGROUND_CHANNEL] == 1).all() for index in empty)
    assert separate_stains(tiles[15].image)[..., 0].max() > 0.5  # the void tile shows nuclei all the same
    twice = sum(int(((tile.masks[..., :BACKGROUND_CHANNEL] > 0).sum(axis=-1) > 1).sum()) for tile in tiles)
    assert 0 < twice < 400


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_seeds_share_pixels_too(seed):
    assert any(((sample_field(slide, seed)[1] > 0).sum(axis=-1) > 1).any() for slide in (0, 4, 8))


def test_all_classes_are_there_and_dead_ones_are_rare(tiles):
    counts = np.zeros(len(CLASS_NAMES), int)
    for tile in tiles:
        counts += [len(np.unique(tile.masks[..., channel])) - 1 for channel in range(len(CLASS_NAMES))]
    assert (counts > 0).all()
    assert 0.01 < counts[CLASS_NAMES.index("Dead")] / counts.sum() < 0.05
    assert {tile.tissue for tile in tiles} == set(TISSUES)


def test_ids_are_unique_and_not_consecutive(tiles):
    for tile in tiles[:8]:
        ids = [np.unique(tile.masks[..., channel])[1:] for channel in range(len(CLASS_NAMES))]
        together = np.sort(np.concatenate(ids))
        assert len(np.unique(together)) == len(together)
        assert (np.diff(together) > 1).any()


def test_a_nucleus_is_in_one_piece_unless_it_is_dead():
    for slide in range(3):
        _, instances, _ = sample_field(slide)
        for channel in set(range(len(CLASS_NAMES))) - {CLASS_NAMES.index("Dead")}:
            for number in np.unique(instances[..., channel])[1:]:
                pieces, _ = cv2.connectedComponents((instances[..., channel] == number).astype(np.uint8))
                assert pieces == 2, f"slide {slide}, nucleus {number}"


def test_neighbouring_tiles_continue_each_other(tiles):
    for slide in range(2):
        four = tiles[4 * slide : 4 * slide + 4]
        positions = np.array([tile.position for tile in four])
        image = stitch(np.stack([tile.image for tile in four]), positions)
        nuclei = stitch(np.stack([tile.masks for tile in four]), positions)
        expected_image, expected_nuclei, _ = sample_field(slide)
        np.testing.assert_array_equal(image, expected_image)
        np.testing.assert_array_equal(nuclei[..., :5], expected_nuclei)
        # Across the cut most nucleus pixels meet their own nucleus again.
        before, after = nuclei[:, 255, :5].max(axis=-1), nuclei[:, 256, :5].max(axis=-1)
        assert (before > 0).any()
        assert (before == after)[before > 0].mean() > 0.7


def test_labels_are_the_same_everywhere(tiles):
    digest = hashlib.sha256()
    for tile in tiles[:8]:
        digest.update(tile.masks.astype("<u2").tobytes())
    assert digest.hexdigest() == LABELS_SHA256


@pytest.mark.parametrize(("place", "expected"), PIXELS.items())
def test_pixels_are_the_same_within_one_level(tiles, place, expected):
    index, row, col = place
    np.testing.assert_allclose(tiles[index].image[row, col].astype(int), expected, atol=1)


def test_a_short_sample_is_the_beginning_of_a_long_one(tiles):
    for short, long in zip(sample_tiles(6), tiles, strict=False):
        np.testing.assert_array_equal(short.image, long.image)
        np.testing.assert_array_equal(short.masks, long.masks)
        assert (short.tissue, short.group, short.position) == (long.tissue, long.group, long.position)


def test_another_seed_is_another_sample(tiles):
    other = next(sample_tiles(1, seed=1))
    assert (other.image != tiles[0].image).mean() > 0.9
    assert (other.masks != tiles[0].masks).any()
    assert other.group != tiles[0].group  # so that two samples may be joined


def test_the_darkest_fifth_is_no_answer(tiles):
    scores = []
    for tile in tiles:
        nuclei = tile.masks[..., :BACKGROUND_CHANNEL].max(axis=-1) > 0
        if nuclei.any():
            grey = cv2.cvtColor(tile.image, cv2.COLOR_RGB2GRAY)
            dark = grey <= np.percentile(grey, 20)
            scores.append(2 * (dark & nuclei).sum() / (dark.sum() + nuclei.sum()))
    assert 0.5 < np.mean(scores) < 0.8  # 0.55 and 0.73 on two sets of real tissue


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_tiles": 0}, "num_tiles 0, expected 1 or more"),
        ({"seed": -1}, "seed -1, expected 0"),
        ({"dtype": "float32"}, "dtype 'float32', expected one of float64, uint8"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        write_sample_fold(tmp_path / "fold", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_picture_is_the_field_and_tells_its_scale(tmp_path):
    path = write_sample_picture(tmp_path / "a.tif", seed=3)
    with open_picture(path) as picture:
        np.testing.assert_array_equal(picture.read(0, 0, 512, 512), sample_field(0, 3)[0])
        assert picture.um_per_px == 0.25
    again = write_sample_picture(tmp_path / "b.tif", seed=3)
    assert path.read_bytes() == again.read_bytes()
