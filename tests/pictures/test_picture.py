import numpy as np
import pytest

from helpers.pictures.picture import ArrayPicture, compose, shrink_area


def test_a_rectangle_of_an_array_is_read_where_it_lies():
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    with ArrayPicture(image) as picture:
        assert (picture.height, picture.width) == (5, 7)
        assert np.array_equal(picture.read(1, 2, 3, 4), image[1:4, 2:6])


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (9, 13), (2, 100)])
def test_shrinking_takes_the_mean_of_each_square_and_of_cut_ones_too(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    small = ArrayPicture(image).shrink(4)
    for row, column in np.ndindex(small.shape[:2]):
        square = image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(-1, 3)
        assert np.abs(small[row, column] - square.mean(0)).max() <= 0.5


def test_shrinking_by_one_changes_nothing():
    image = np.random.default_rng(1).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    assert np.array_equal(shrink_area(image, 1), image)


def test_what_is_transparent_is_shrunk_as_white():
    image = np.zeros((4, 4, 4), np.uint8)
    assert (ArrayPicture(image).shrink(2) == 255).all()


def test_half_transparent_is_laid_on_white():
    image = np.array([[[100, 0, 255, alpha] for alpha in (0, 51, 255)]], np.uint8)
    assert compose(image).tolist() == [[[255, 255, 255], [224, 204, 255], [100, 0, 255]]]
