"""Whole images of a data set: of the right tiles, and what a smaller grid can hold of their labels."""

import numpy as np
import pytest
from folds import example_images, write_example

from helpers.data.fold import Tiles, find_folds
from helpers.data.prepare import prepare
from helpers.data.stitching import source_images, stitch_labels
from helpers.evaluation.whole_images import read_tiles, stitch_tiles, through_network_size


def test_tiles_are_read_across_folds(tmp_path):
    for number in (1, 2):
        write_example(tmp_path / "both", 3, seed=number, layout="pannuke", number=number)
    folds = find_folds(tmp_path / "both")
    tiles = read_tiles(folds, np.array([4, 0, 3, 2]))
    first, second = example_images(3, 1), example_images(3, 2)
    np.testing.assert_array_equal(tiles.images, np.stack([second[1], first[0], second[0], first[2]]))
    one = folds[1].read(1, 2)
    np.testing.assert_array_equal(tiles.class_maps[0], one.class_maps[0])
    assert tiles.nuclei[0].tolist() == one.nuclei[0].tolist()
    assert (tiles.class_maps.shape, tiles.nuclei.shape, tiles.void.tolist()) == ((4, 256, 256), (4, 5), [False] * 4)


def squares() -> Tiles:
    """Two tiles beside one another, with a nucleus that goes over from one to the other."""
    class_maps = np.zeros((2, 256, 256), np.uint8)
    class_maps[0, 100:140, 220:] = 2
    class_maps[1, 100:140, :20] = 2
    images, instances = np.zeros((2, 256, 256, 3), np.uint8), np.where(class_maps > 0, 7, 0)
    return Tiles(images, class_maps, instances, np.zeros((2, 5), np.int64), np.zeros(2, bool))


@pytest.mark.parametrize(("size", "labels"), [(256, "nearest"), (256, "majority"), (128, "majority")])
def test_labels_that_a_smaller_grid_can_hold_come_back(size, labels):
    found = through_network_size(squares(), np.array([(0, 0), (0, 256)]), size, labels)
    expected = np.zeros((256, 512), bool)
    expected[100:140, 220:276] = True
    np.testing.assert_array_equal(found, expected)


def test_shrinking_costs_what_the_smaller_grid_cannot_hold():
    found = through_network_size(squares(), np.array([(0, 0), (0, 256)]), 32, "majority")
    assert found.shape == (256, 512)
    assert found[120, 250]
    assert not found[90].any()
    assert found.sum() != 40 * 56


def test_image_and_mask_are_stitched_to_one_size():
    image, mask = stitch_tiles(squares(), np.array([(0, 0), (0, 256)]))
    assert (image.shape, image.dtype) == ((256, 512, 3), np.uint8)
    assert mask.sum() == 40 * 56


# Real tissue.


def test_nuclei_of_real_tissue_are_stitched_to_its_mask(real_dataset):
    cache = prepare(real_dataset, 256, "majority", progress=False)
    if cache.pictures is None or cache.positions is None:
        pytest.skip(f"{real_dataset} does not tell the places of its tiles")
    images = source_images(np.arange(len(cache)), cache.tissues, cache.pictures, cache.positions, cache.extents)
    image = next(image for image in images if len(image.indices) > 1 and cache.annotated[image.indices].all())
    tiles = read_tiles(find_folds(real_dataset), image.indices)
    _, mask = stitch_tiles(tiles, image.positions)
    numbers = stitch_labels(tiles.instances, image.positions)
    np.testing.assert_array_equal(numbers > 0, mask)
    # Across tiles a nucleus keeps its number: there are fewer of them than in the tiles counted one by one.
    assert 0 < len(np.unique(numbers)) - 1 < tiles.nuclei.sum()
