"""Where folds are found, and what their values become: both layouts, every dtype, PanNuke's traps."""

import os
import shutil

import numpy as np
import pytest
from folds import add_nucleus, empty_masks, example_images, example_masks, write_example, write_fold

from helpers.config import CLASS_NAMES
from helpers.data.fold import Fold, find_folds, official_numbers
from helpers.errors import InputError


def read_one(folder, images=None, masks=None):
    """Write a fold of the given arrays, the example's where none are given, and read it."""
    count = len(images if masks is None else masks)
    write_fold(
        folder, example_images(count) if images is None else images, example_masks(count) if masks is None else masks
    )
    (fold,) = find_folds(folder)
    return fold.read(0, count)


def write_three(folder, names=("Fold 1", "Fold 2", "Fold 3")) -> None:
    """Write three folds of one, two and three tiles in PanNuke's layout, and rename their outer folders."""
    for number, name in zip((1, 2, 3), names, strict=True):
        write_example(folder, number, seed=number, layout="pannuke", number=number)
        (folder / f"Fold {number}").rename(folder / name)


# Where folds are found.


@pytest.mark.parametrize("name", ["archive", "PanNuke/archive"])
def test_folds_below_the_folder_of_an_archive(tmp_path, name):
    write_three(tmp_path / name)
    assert official_numbers(find_folds(tmp_path)) == [1, 2, 3]


def test_folds_that_are_called_parts(tmp_path):
    for number in (1, 2, 3):
        write_example(tmp_path / f"Part {number}", number)
    folds = find_folds(tmp_path)
    assert [fold.name for fold in folds] == ["Part 1", "Part 2", "Part 3"]
    assert official_numbers(folds) == [1, 2, 3]


def test_names_in_letters_of_any_case(tmp_path):
    plain, loud = write_example(tmp_path / "plain", 2), tmp_path / "loud"
    np.save(plain / "Images/annotated.npy", [[True, False], [False, True]])
    np.save(plain / "Images/kinds.npy", list("abcde"))
    for file, name in (
        *(("Images/images", "Images"), ("Images/types", "TYPES"), ("Masks/masks", "Masks")),
        *(("Images/annotated", "ANNOTATED"), ("Images/kinds", "Kinds")),
    ):
        folder = loud / file.partition("/")[0].upper()
        folder.mkdir(parents=True, exist_ok=True)
        (plain / f"{file}.npy").rename(folder / f"{name}.NPY")
    (fold,) = find_folds(loud)
    assert (len(fold), fold.tissues.tolist()) == (2, ["Breast", "Colon"])
    assert (fold.annotated.tolist(), fold.kinds) == ([[True, False], [False, True]], tuple("abcde"))
    assert [path.name for path in fold.files] == [
        *("Images.NPY", "Masks.NPY", "TYPES.NPY", "ANNOTATED.NPY", "Kinds.NPY")
    ]


def test_tissues_need_not_be_told_and_may_be_a_column(tmp_path):
    folder = write_example(tmp_path / "a", 2)
    np.save(folder / "Images/types.npy", [["Breast"], ["Colon"]])
    assert find_folds(folder)[0].tissues.tolist() == ["Breast", "Colon"]
    (folder / "Images/types.npy").unlink()
    assert find_folds(folder)[0].tissues.tolist() == ["unknown", "unknown"]


def test_what_is_known_of_nuclei_need_not_be_told(tmp_path):
    (fold,) = find_folds(write_example(tmp_path, 2))
    assert (fold.annotated.dtype, fold.annotated.tolist()) == (bool, [[True, True]] * 2)
    assert fold.kinds == CLASS_NAMES


@pytest.mark.parametrize("values", [[[0, 1], [1, 0]], np.array([[0, 1], [1, 0]], np.uint8), np.eye(2)[::-1] > 0])
def test_what_is_known_of_nuclei_and_what_channels_mean(tmp_path, values):
    (fold,) = find_folds(write_example(tmp_path, 2, annotated=values, kinds=["a", "b", "c", "d", "d"]))
    assert (fold.annotated.dtype, fold.annotated.tolist()) == (bool, [[False, True], [True, False]])
    assert fold.kinds == ("a", "b", "c", "d", "d")
    assert [path.name for path in fold.files[-2:]] == ["annotated.npy", "kinds.npy"]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        (
            "annotated",
            [True, False],
            "truth values of shape (2, 2), are the kinds of a tile's nuclei known and are its ",
        ),
        ("annotated", [[True, False]] * 3, "found shape (3, 2) of bool"),
        ("annotated", [[0, 1], [2, 0]], "found shape (2, 2) of int64"),
        ("annotated", [[0.0, 1.0]] * 2, "found shape (2, 2) of float64"),
        (
            "kinds",
            list("abcd"),
            "expected 5 names of kinds of nuclei (strings or integers), one for each class channel, ",
        ),
        ("kinds", list("abcdef"), "found shape (6,) of <U1"),
        ("kinds", [0.5] * 5, "found shape (5,) of float64"),
    ],
)
def test_what_cannot_be_known_of_nuclei_is_refused(tmp_path, name, values, expected):
    write_example(tmp_path, 2, **{name: values})
    with pytest.raises(InputError) as caught:
        find_folds(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'Images' / name}.npy: expected ")
    assert expected in message
    assert "\n" not in message


def test_masks_of_truth_values_and_of_any_order(tmp_path):
    masks = example_masks(2)
    expected = read_one(tmp_path / "a", masks=masks)
    found = read_one(tmp_path / "b", masks=np.asfortranarray(masks > 0))
    assert find_folds(tmp_path / "b")[0].annotated.tolist() == [[True, False]] * 2  # nuclei are not told apart
    np.testing.assert_array_equal(found.class_maps, expected.class_maps)
    np.testing.assert_array_equal(found.images, expected.images)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("tile.PNG", r"but pictures such as tile\.PNG; .* `python -m helpers convert IMAGES MASKS OUT --kind pairs`"),
        ("results.json", "but the results of a model; name the data set after it"),
        ("notes.txt", r"in it or 5 folders deep, but notes\.txt; Dataset/README\.md shows"),
    ],
)
def test_a_folder_of_something_else(tmp_path, file, message):
    (tmp_path / file).touch()
    with pytest.raises(InputError, match=f"no images.npy was found,? ?{message}"):
        find_folds(tmp_path)


def test_the_reports_layout(tmp_path):
    folder = write_example(tmp_path / "Dataset", 2, groups=["a", "b"], positions=[[0, 0], [0, 256]])
    (fold,) = find_folds(folder)
    assert (fold.name, len(fold)) == ("Dataset", 2)
    assert [path.relative_to(folder).as_posix() for path in fold.files] == [
        *("Images/images.npy", "Masks/masks.npy", "Images/types.npy", "Images/groups.npy", "Images/positions.npy")
    ]
    assert fold.tissues.tolist() == ["Breast", "Colon"]
    assert fold.groups.tolist() == ["a", "b"]
    assert fold.positions.tolist() == [[0, 0], [0, 256]]


def test_pannukes_layout(tmp_path):
    folder = write_example(tmp_path / "PanNuke data", 2, layout="pannuke")
    (fold,) = find_folds(folder)
    assert fold.name == "fold1"
    assert fold.images.path == folder / "Fold 1/images/fold1/images.npy"
    assert fold.masks.path == folder / "Fold 1/masks/fold1/masks.npy"
    assert fold.groups is None
    assert fold.positions is None
    np.testing.assert_array_equal(fold.read(0, 2).images, example_images(2))


@pytest.mark.parametrize("given", ["Fold 2", "Fold 2/images", "Fold 2/images/fold2"])
def test_one_of_pannukes_folds(tmp_path, given):
    write_three(tmp_path)
    (fold,) = find_folds(tmp_path / given)
    assert (fold.name, len(fold)) == ("fold2", 2)
    assert fold.masks.path == tmp_path / "Fold 2/masks/fold2/masks.npy"


def test_the_folder_of_images_alone(tmp_path):
    write_example(tmp_path, 2)
    (fold,) = find_folds(tmp_path / "Images")
    assert fold.masks.path == tmp_path / "Masks/masks.npy"


def test_masks_beside_the_images(tmp_path):
    folder = tmp_path / "images" / "mine"  # a folder above the data set that happens to have a telling name
    write_example(folder, 1)
    for name in ("Images/images.npy", "Images/types.npy", "Masks/masks.npy"):
        shutil.move(folder / name, folder)
    (fold,) = find_folds(folder)
    assert fold.masks.path == folder / "masks.npy"


def test_three_folds(tmp_path):
    write_three(tmp_path)
    folds = find_folds(tmp_path)
    assert [(fold.name, len(fold)) for fold in folds] == [("fold1", 1), ("fold2", 2), ("fold3", 3)]
    assert official_numbers(folds) == [1, 2, 3]


def test_renamed_outer_folders_leave_the_inner_names(tmp_path):
    write_three(tmp_path, ("c", "b", "a"))
    folds = find_folds(tmp_path)
    assert [fold.name for fold in folds] == ["fold3", "fold2", "fold1"]
    assert official_numbers(folds) == [3, 2, 1]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["fold0", "fold1", "fold2"], [1, 2, 3]),
        (["FOLD-3", "Fold 1", "fold_2"], [3, 1, 2]),
        (["fold1"], None),
        (["fold1", "fold2"], None),
        (["fold1", "fold2", "fold4"], None),
        (["fold1", "fold2", "new"], None),
    ],
)
def test_official_numbers_of_folders(tmp_path, names, numbers):
    for name in names:
        write_example(tmp_path / name, 1)
    assert official_numbers(find_folds(tmp_path)) == numbers


def test_hidden_folders_are_passed_over(tmp_path):
    write_example(tmp_path, 2)
    write_example(tmp_path / ".nuclei_cache", 1)
    shutil.copytree(tmp_path / "Images", tmp_path / ".nuclei_cache" / "128-nearest")
    (fold,) = find_folds(tmp_path)
    assert fold.images.path == tmp_path / "Images/images.npy"


def test_a_data_set_in_a_hidden_folder(tmp_path):
    (fold,) = find_folds(write_example(tmp_path / ".data" / "mine", 2))
    assert len(fold) == 2


def test_a_data_set_behind_a_link(tmp_path):
    write_three(tmp_path / "disk")
    (tmp_path / "Dataset").mkdir()
    try:
        (tmp_path / "Dataset" / "Fold 2").symlink_to(tmp_path / "disk" / "Fold 2", target_is_directory=True)
    except OSError as error:
        pytest.skip(f"this system makes no links: {error}")
    (fold,) = find_folds(tmp_path / "Dataset")
    assert (fold.name, len(fold)) == ("fold2", 2)


@pytest.mark.parametrize("given", ["missing", "file", "empty"])
def test_nothing_to_find(tmp_path, given):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty" / "Images").mkdir(parents=True)
    found = {"missing": "found nothing", "file": "found a file", "empty": "no images.npy was found"}[given]
    with pytest.raises(InputError, match=found) as caught:
        find_folds(tmp_path / given)
    assert str(tmp_path / given) in str(caught.value)


@pytest.mark.parametrize("closed", ["", "Images"])
def test_unreadable_folder(tmp_path, monkeypatch, closed):
    folder = write_example(tmp_path / "Dataset", 1)
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path) == os.fspath(folder / closed):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError) as caught:
        find_folds(folder)
    assert (
        str(caught.value)
        == f"{folder / closed}: cannot be read (Permission denied); check that it is there and may be read"
    )


# What values become.


@pytest.mark.parametrize(
    ("image_dtype", "mask_dtype"),
    [("float64", "float64"), ("float32", "float32"), ("uint8", "uint16"), ("int64", "int64"), (">f8", ">i4")],
)
def test_every_dtype_gives_the_same_tiles(tmp_path, image_dtype, mask_dtype):
    tiles = read_one(tmp_path, example_images(2).astype(image_dtype), example_masks(2).astype(mask_dtype))
    assert [array.dtype for array in (tiles.images, tiles.class_maps, tiles.nuclei, tiles.void)] == [
        *(np.uint8, np.uint8, np.int64, bool)
    ]
    np.testing.assert_array_equal(tiles.images, example_images(2))
    expected = np.zeros((2, 256, 256), np.uint8)
    expected[0, 11:40, 21:66], expected[0, 101:152, 133:180] = 1, 2
    expected[1, 11:41, 21:66], expected[1, 101:152, 133:181] = 2, 3
    np.testing.assert_array_equal(tiles.class_maps, expected)
    assert tiles.nuclei.tolist() == [[1, 1, 0, 0, 0], [0, 1, 1, 0, 0]]
    assert tiles.void.tolist() == [False, False]


def test_masks_of_uint8(tmp_path):
    masks = np.minimum(example_masks(1), 255).astype(np.uint8)
    assert read_one(tmp_path, masks=masks).nuclei.tolist() == [[1, 1, 0, 0, 0]]


def test_nuclei_keep_their_numbers_whatever_the_channel(tmp_path):
    masks = empty_masks(2)
    for tile in (0, 1):
        add_nucleus(masks, tile, 0, 7, np.s_[:10], np.s_[:10])
    add_nucleus(masks, 0, 3, 7, np.s_[20:30], np.s_[:10])  # another nucleus
    add_nucleus(masks, 0, 3, 7, np.s_[50:60], np.s_[:10])  # a piece of it
    add_nucleus(masks, 0, 4, 8, np.s_[5:15], np.s_[:10])  # half under the first, whose class counts
    tiles = read_one(tmp_path, masks=masks)
    first, other, piece, under = tiles.instances[0, [0, 20, 50, 12], 0].tolist()
    assert len({0, first, other, under}) == 4
    assert piece == other
    assert (tiles.instances[0, :10, :10] == first).all()
    assert (tiles.instances[1, :10, :10] == first).all()  # the same number in the fold
    np.testing.assert_array_equal(tiles.instances > 0, tiles.class_maps > 0)


def test_fractions_of_a_grey_level_are_rounded(tmp_path):
    images = np.full((1, 256, 256, 3), [99.4, 99.6, 254.9])
    assert read_one(tmp_path, images).images[0, 0, 0].tolist() == [99, 100, 255]


def test_a_part_of_a_fold(tmp_path):
    (fold,) = find_folds(write_example(tmp_path, 3))
    part, whole = fold.read(1, 3), fold.read(0, 3)
    np.testing.assert_array_equal(part.images, whole.images[1:])
    np.testing.assert_array_equal(part.class_maps, whole.class_maps[1:])
    assert part.nuclei.tolist() == whole.nuclei[1:].tolist()


def test_a_void_tile_is_background_and_flagged(tmp_path):
    masks = example_masks(3)
    masks[1] = 0  # not even background: `1 - masks[..., 5]` would make all of it nuclei
    tiles = read_one(tmp_path, masks=masks)
    assert tiles.void.tolist() == [False, True, False]
    assert not tiles.class_maps[1].any()
    assert tiles.nuclei[1].tolist() == [0] * 5


def test_an_empty_tile_is_not_void(tmp_path):
    tiles = read_one(tmp_path, masks=empty_masks(1))
    assert (tiles.void.tolist(), tiles.nuclei.tolist()) == ([False], [[0] * 5])
    assert not tiles.class_maps.any()


def test_a_pixel_outside_of_every_channel_is_background(tmp_path):
    masks = example_masks(1)
    masks[0, 200:, :, 5] = 0
    tiles = read_one(tmp_path, masks=masks)
    assert not tiles.class_maps[0, 200:].any()
    assert tiles.void.tolist() == [False]


def test_the_background_is_channel_five_and_epithelial_channel_four(tmp_path):
    masks = empty_masks(1)
    add_nucleus(masks, 0, 4, 17, np.s_[:10], np.s_[:10])
    tiles = read_one(tmp_path, masks=masks)
    assert np.argwhere(tiles.class_maps[0] == 5).max(0).tolist() == [9, 9]
    assert np.unique(tiles.class_maps).tolist() == [0, 5]
    assert tiles.nuclei.tolist() == [[0, 0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("nuclei", "counts"),
    [
        ([(1, 5, np.s_[10:20]), (3, 6, np.s_[15:25])], [0, 1, 0, 1, 0]),  # some pixels are of both
        ([(0, 5, np.s_[10:20]), (0, 5, np.s_[40:50])], [1, 0, 0, 0, 0]),  # one in two pieces
    ],
)
def test_nuclei_are_counted_by_their_ids(tmp_path, nuclei, counts):
    masks = empty_masks(1)
    for channel, number, rows in nuclei:
        add_nucleus(masks, 0, channel, number, rows, np.s_[10:20])
    assert read_one(tmp_path, masks=masks).nuclei.tolist() == [counts]


# What does not fit is found before values are read. What is wrong with values: tests/test_prepare.py.


def shape_error(tmp_path, images_shape, masks_shape) -> str:
    write_fold(tmp_path, np.zeros(images_shape, np.uint8), np.zeros(masks_shape, np.uint8))
    with pytest.raises(InputError) as caught:
        find_folds(tmp_path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("images", "masks", "name", "hint"),
    [
        ((2, 256, 256, 4), (2, 256, 256, 6), "images", ""),
        ((2, 256, 256), (2, 256, 256, 6), "images", ""),
        ((2, 128, 128, 3), (2, 128, 128, 6), "images", ""),
        ((2, 3, 256, 256), (2, 6, 256, 256), "images", "moveaxis(array, 1, -1)"),
        ((2, 256, 256, 3), (2, 6, 256, 256), "masks", "moveaxis(array, 1, -1)"),
        ((2, 256, 256, 3), (2, 256, 256, 5), "masks", ""),
        ((2, 256, 256, 3), (2, 256, 256), "masks", ""),
    ],
)
def test_shapes(tmp_path, images, masks, name, hint):
    message = shape_error(tmp_path, images, masks)
    found, channels = (images, 3) if name == "images" else (masks, 6)
    expected = f"{name}.npy: expected shape (N, 256, 256, {channels}), found {found}"
    assert expected in message
    assert message.endswith(expected) if not hint else hint in message


def test_images_and_masks_of_different_folds(tmp_path):
    message = shape_error(tmp_path, (2, 256, 256, 3), (3, 256, 256, 6))
    assert f"{tmp_path / 'Images/images.npy'} holds 2 tiles and {tmp_path / 'Masks/masks.npy'} holds 3" in message


def test_a_fold_without_tiles(tmp_path):
    message = shape_error(tmp_path, (0, 256, 256, 3), (0, 256, 256, 6))
    assert message == f"{tmp_path / 'Images/images.npy'}: expected tiles, found none"


def test_wrong_values_are_reported_with_the_number_of_their_tile(tmp_path):
    images = example_images(4).astype(np.float32)
    images[3, 255, 255, 2] = np.nan
    write_fold(tmp_path, images, example_masks(4))
    (fold,) = find_folds(tmp_path)
    assert len(fold.read(0, 3).images) == 3
    with pytest.raises(InputError, match=r"images\.npy: expected values from 0 to 255, found nan in tile 3$"):
        fold.read(2, 4)


def test_the_real_data_set_fits(real_dataset):
    folds = find_folds(real_dataset)
    tiles = [fold.read(0, min(4, len(fold))) for fold in folds]
    assert all(isinstance(fold, Fold) and len(fold.tissues) == len(fold) for fold in folds)
    assert all((part.nuclei.sum(1) > 0).tolist() == part.class_maps.any((1, 2)).tolist() for part in tiles)
