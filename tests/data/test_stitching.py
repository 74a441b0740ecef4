"""Cutting an image and putting it together again gives the image."""

import numpy as np
import pytest

from helpers.data.stitching import source_images, stitch, stitch_labels

CORNERS = [(0, 0), (0, 256), (256, 0), (256, 256)]


def cut(image: np.ndarray, positions: list[tuple[int, int]], side: int) -> np.ndarray:
    return np.stack([image[row : row + side, column : column + side] for row, column in positions])


@pytest.mark.parametrize("shape", [(50, 70), (50, 70, 3)])
def test_cut_image_comes_back_from_overlapping_tiles(shape):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    positions = [(row, column) for row in (0, 15, 30) for column in (0, 18, 36, 50)]
    stitched = stitch(cut(image, positions, 20), np.array(positions))
    assert stitched.dtype == np.float32
    np.testing.assert_allclose(stitched, image, atol=1e-6)


def test_overlap_counts_by_the_mean_of_all_tiles():
    tiles = np.stack([np.full((2, 2), value) for value in (1.0, 2.0, 6.0)])
    stitched = stitch(tiles, np.array([(0, 0), (0, 1), (0, 1)]))
    np.testing.assert_allclose(stitched, [[1, 3, 4], [1, 3, 4]])


def test_nothing_lies_between_tiles():
    stitched = stitch(np.ones((2, 1, 1)), np.array([(0, 0), (1, 2)]))
    assert stitched.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_masks_and_bytes_do_not_overflow():
    assert stitch(np.full((3, 1, 1), 255, np.uint8), np.zeros((3, 2), int)).tolist() == [[255]]
    assert stitch(np.full((3, 1, 1), True), np.zeros((3, 2), int)).tolist() == [[1]]


def test_labels_that_agree_come_back_and_are_never_averaged():
    labels = np.random.default_rng(0).integers(0, 2**40, (50, 70))
    positions = [(row, column) for row in (0, 15, 30) for column in (0, 18, 36, 50)]
    stitched = stitch_labels(cut(labels, positions, 20), np.array(positions))
    assert stitched.dtype == np.int64
    np.testing.assert_array_equal(stitched, labels)


def test_where_labels_overlap_the_first_nucleus_counts():
    tiles = np.array([[[0, 5]], [[7, 7]], [[9, 9]]])
    assert stitch_labels(tiles, np.array([(0, 0), (0, 0), (0, 2)])).tolist() == [[7, 5, 9, 9]]


def of(images) -> list[tuple]:
    """Give what makes images, as plain values."""
    return [(image.name, image.tissue, image.indices.tolist(), image.positions.tolist()) for image in images]


def test_groups_become_images_in_order_of_their_first_tile():
    tissues = np.array(["Breast", "Colon"] * 4)
    groups = np.array(["b", "a"] * 4)
    positions = np.repeat(CORNERS, 2, axis=0)
    assert of(source_images(np.arange(8), tissues, groups, positions)) == [
        ("b", "Breast", [0, 2, 4, 6], [list(corner) for corner in CORNERS]),
        ("a", "Colon", [1, 3, 5, 7], [list(corner) for corner in CORNERS]),
    ]


def test_tiles_of_unknown_position_stand_alone():
    tissues, groups = np.array(["x"] * 3), np.array(["a", "a", "ungrouped-2"])
    found = of(source_images(np.arange(3), tissues, groups, np.array([(0, 0), (-1, -1), (-1, -1)])))
    assert found == [(f"tile {tile}", "x", [tile], [[0, 0]]) for tile in range(3)]


def test_only_the_chosen_tiles_are_gathered():
    tissues, groups = np.array(["x", "x", "y", "y"]), np.array(["a", "a", "b", "b"])
    positions = np.array([(0, 0), (0, 256), (0, 0), (256, 0)])
    found = of(source_images(np.array([3, 2]), tissues, groups, positions))
    assert found == [("b", "y", [3, 2], [[256, 0], [0, 0]])]


def test_offsets_start_at_the_image_whatever_the_slide():
    tissues, groups = np.array(["x", "x"]), np.array(["a", "a"])
    positions = np.array([(4000, 7248), (4000, 7000)])
    (image,) = source_images(np.arange(2), tissues, groups, positions)
    assert image.positions.tolist() == [[0, 248], [0, 0]]
    assert stitch(np.ones((2, 256, 256)), image.positions).shape == (256, 504)


def test_tiles_that_share_a_position_are_images_of_their_own():
    tissues, groups = np.array(["x", "y", "x", "y", "y"]), np.array(["a", "b", "a", "b", "b"])
    positions = np.array([(0, 0), (0, 0), (0, 256), (0, 256), (0, 256)])
    assert of(source_images(np.arange(5), tissues, groups, positions)) == [
        ("a", "x", [0, 2], [[0, 0], [0, 256]]),
        ("tile 1", "y", [1], [[0, 0]]),
        ("tile 3", "y", [3], [[0, 0]]),
        ("tile 4", "y", [4], [[0, 0]]),
    ]


@pytest.mark.parametrize(
    "places",
    [
        [(0, 0), (0, 256), (256, 0)],  # one of four is missing
        [(0, 0), (0, 257)],  # one column of pixels between them
        [(0, 0), (60_000, 80_000)],  # as far apart as on a slide
    ],
)
def test_tiles_with_a_hole_between_them_are_images_of_their_own(places):
    count = len(places)
    images = source_images(np.arange(count), np.array(["x"] * count), np.array(["a"] * count), np.array(places))
    assert of(images) == [(f"tile {number}", "x", [number], [[0, 0]]) for number in range(count)]


def test_padding_belongs_to_no_image():
    extents = np.array([(256, 256), (256, 40), (70, 256), (70, 40), (9, 8)])
    positions = np.array([(0, 0), (0, 256), (256, 0), (256, 256), (0, 0)])
    pictures = np.array(["a"] * 4 + ["b"])
    whole, small = source_images(np.arange(5), np.array(["x"] * 5), pictures, positions, extents)
    assert (whole.name, whole.size, small.size) == ("a", (326, 296), (9, 8))
    assert whole.crop(stitch(np.ones((4, 256, 256)), whole.positions)).shape == (326, 296)
    holed = source_images(np.arange(3), np.array(["x"] * 5), pictures, positions, extents)
    assert [(image.name, image.size) for image in holed] == [
        ("tile 0", (256, 256)),
        ("tile 1", (256, 40)),
        ("tile 2", (70, 256)),
    ]
    extents[0] = (256, 250)  # then there are six columns between the first and the second
    assert len(source_images(np.arange(4), np.array(["x"] * 5), pictures, positions, extents)) == 4


@pytest.mark.parametrize(("groups", "positions"), [(None, None), (["a", "a"], None), (None, [(0, 0), (0, 256)])])
def test_without_groups_or_positions_each_tile_is_an_image(groups, positions):
    groups = None if groups is None else np.array(groups)
    positions = None if positions is None else np.array(positions)
    found = of(source_images(np.array([1, 0]), np.array(["x", "y"]), groups, positions))
    assert found == [("tile 1", "y", [1], [[0, 0]]), ("tile 0", "x", [0], [[0, 0]])]
