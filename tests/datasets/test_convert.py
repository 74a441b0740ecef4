"""Whole downloads become folds: every pixel in its tile, every tile in its place, and nothing half-written."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from published import noise, write_consep, write_monuseg, write_nuinsseg

from helpers.data.fold import Fold, find_folds
from helpers.data.stitching import source_images, stitch
from helpers.datasets.convert import CONVERTERS, convert
from helpers.errors import InputError

NAMES = ("TCGA-B0-5698-01Z-00-DX1", "TCGA-XX-0000-01Z-00-DX1")
FIELDS = (noise(1000, 1), noise(1000, 2))
SQUARES = [(10, 20, 30, 45), (240, 250, 262, 260), (980, 985, 1000, 1000)]
CONSEP_NUCLEI = {
    3: (2, (250, 250, 262, 262)),
    901: (4, (500, 100, 520, 120)),
    902: (6, (740, 740, 770, 770)),
    40: (1, (990, 3, 1000, 9)),
}


@pytest.fixture
def tmp_path(tmp_path) -> Iterator[Path]:
    """An empty folder; removed at once, for pytest would keep it, tiles and all."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def downloads(tmp_path_factory) -> Iterator[dict[str, Path]]:
    """One small download of each kind."""
    folder = tmp_path_factory.mktemp("downloads")
    ids = np.zeros((512, 512), np.uint16)
    ids[100:140, 60:90] = 5
    images = {number: (noise(512, number), ids) for number in range(3)}
    yield {
        "monuseg": write_monuseg(folder / "monuseg", dict(zip(NAMES, FIELDS, strict=True)), SQUARES),
        "consep": write_consep(folder / "Train", {"train_1": FIELDS[0], "train_2": FIELDS[1]}, CONSEP_NUCLEI),
        "nuinsseg": write_nuinsseg(
            folder / "nuinsseg",
            {"human bladder": {"h_1": images[0], "h_2": images[1]}, "mouse lung": {"m_1": images[2]}},
        ),
    }
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def folds(downloads, tmp_path_factory) -> Iterator[dict[str, Fold]]:
    """The fold of each download."""
    folder = tmp_path_factory.mktemp("folds")
    yield {kind: find_folds(convert(path, folder / kind, kind))[0] for kind, path in downloads.items()}
    shutil.rmtree(folder)


def stitched(fold: Fold, values: np.ndarray) -> list[np.ndarray]:
    """Put one array of a fold together, image by image."""
    images = source_images(np.arange(len(fold)), fold.tissues, fold.groups, fold.positions)
    return [stitch(values[image.indices], image.positions) for image in images]


def masks_of(fold: Fold) -> np.ndarray:
    return fold.masks.read(0, len(fold))


@pytest.mark.parametrize("kind", CONVERTERS)
def test_background_is_where_no_nucleus_is(folds, kind):
    masks = masks_of(folds[kind])
    np.testing.assert_array_equal(masks[..., 5], masks[..., :5].max(-1) == 0)
    assert not folds[kind].read(0, len(folds[kind])).void.any()


EVENLY = [[row, col] for row in (0, 248, 496, 744) for col in (0, 248, 496, 744)]
EDGE_TO_EDGE = [[0, 0], [0, 256], [0, 512], [256, 0], [256, 256], [256, 512], [512, 0], [512, 256], [512, 512]]
BORDER = [[744, 0], [744, 256], [744, 512], [0, 744], [256, 744], [512, 744], [744, 744]]


@pytest.mark.parametrize(
    ("kind", "tissues", "groups", "positions"),
    [
        ("monuseg", ["Kidney", "unknown"], list(NAMES), EVENLY),
        ("consep", ["Colon"] * 2, ["consep-train_1", "consep-train_2"], EDGE_TO_EDGE + BORDER),
        (
            "nuinsseg",
            ["human bladder", "human bladder", "mouse lung"],
            ["nuinsseg-human bladder", "nuinsseg-human bladder", "nuinsseg-mouse lung"],
            [[0, 0]],
        ),
    ],
)
def test_types_tissues_groups_and_positions(folds, kind, tissues, groups, positions):
    fold = folds[kind]
    assert (fold.images.dtype, fold.masks.dtype) == (np.uint8, np.uint16)
    assert fold.tissues.tolist() == [tissue for tissue in tissues for _ in positions]
    assert fold.groups.tolist() == [group for group in groups for _ in positions]
    assert fold.positions.tolist() == positions * len(tissues)


def test_neighbours_of_unknown_place_are_not_one_image(folds):
    fold = folds["nuinsseg"]
    assert len(source_images(np.arange(3), fold.tissues, fold.groups, fold.positions)) == 3


@pytest.mark.parametrize("kind", ["monuseg", "consep"])
def test_tiles_stitch_back_to_the_image(folds, kind):
    images = stitched(folds[kind], folds[kind].images.read(0, 32))
    np.testing.assert_array_equal(images, FIELDS)


CHANNELS = {1: 3, 2: 1, 4: 4, 6: 2}  # of CoNSeP's types


@pytest.mark.parametrize(
    ("kind", "nuclei"),
    [
        ("monuseg", [(number, 0, square) for number, square in enumerate(SQUARES, 1)]),
        ("consep", [(number, CHANNELS[of], square) for number, (of, square) in CONSEP_NUCLEI.items()]),
    ],
)
def test_nuclei_stitch_back_in_their_channels(folds, kind, nuclei):
    expected = np.zeros((1000, 1000, 6))
    for number, channel, (left, top, right, bottom) in nuclei:
        expected[top:bottom, left:right, channel] = number
    expected[..., 5] = expected[..., :5].max(-1) == 0
    for channel in range(6):
        for found in stitched(folds[kind], masks_of(folds[kind])[..., channel]):
            np.testing.assert_array_equal(found, expected[..., channel])


def test_nuclei_of_nuinsseg(folds):
    expected = np.zeros((256, 256), int)
    expected[50:70, 30:45] = 5
    for mask in masks_of(folds["nuinsseg"]):
        np.testing.assert_array_equal(mask[..., 0], expected)
        assert not mask[..., 1:5].any()
    assert folds["nuinsseg"].read(0, 3).nuclei.tolist() == [[1, 0, 0, 0, 0]] * 3


def test_the_three_lie_beside_one_another_as_one_data_set(folds):
    root = folds["consep"].images.path.parents[2]
    assert [len(fold) for fold in find_folds(root)] == [32, 32, 3]


# What goes wrong.


def test_an_unknown_kind_is_refused(downloads, tmp_path):
    with pytest.raises(InputError, match="found kind 'kumar', expected one of monuseg, consep, nuinsseg; choose one"):
        convert(downloads["consep"], tmp_path / "out", "kumar")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", CONVERTERS)
@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_that_is_no_download_is_refused(tmp_path, kind, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=f"{name}.*: found no .*expected") as error:
        convert(tmp_path / name, tmp_path / "out", kind)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["empty"]


@pytest.mark.parametrize("kind", CONVERTERS)
def test_one_kind_is_not_taken_for_another(downloads, tmp_path, kind):
    for other in CONVERTERS.keys() - {kind}:
        with pytest.raises(InputError, match="found no"):
            convert(downloads[kind], tmp_path / "out", other)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "damaged", "content"),
    [
        ("monuseg", f"Annotations/{NAMES[1]}.xml", b"<Annotations>"),
        ("monuseg", f"Tissue Images/{NAMES[1]}.tif", b""),
        ("consep", "Labels/train_2.mat", b"MATLAB"),
        ("nuinsseg", "mouse lung/label masks modify/m_1.tif", b"no image"),
    ],
)
def test_nothing_is_left_when_the_last_image_is_damaged(downloads, tmp_path, kind, damaged, content):
    source = shutil.copytree(downloads[kind], tmp_path / "source")
    (source / damaged).write_bytes(content)
    with pytest.raises(InputError) as error:
        convert(source, tmp_path / "out", kind)
    assert str(error.value).startswith(f"{source / damaged}: found ")
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["source"]


@pytest.mark.parametrize(
    ("kind", "annotated", "kinds"),
    [
        ("monuseg", [False, True], ["Untyped", "Inflammatory", "Connective", "Dead", "Epithelial"]),
        ("consep", [True, True], ["Untyped", "Inflammatory", "Connective", "Other", "Epithelial"]),
        ("nuinsseg", [False, True], ["Untyped", "Inflammatory", "Connective", "Dead", "Epithelial"]),
    ],
)
def test_a_fold_says_what_its_annotation_tells(folds, kind, annotated, kinds):
    beside = folds[kind].images.path.parent
    assert np.load(beside / "annotated.npy").tolist() == [annotated] * len(folds[kind])
    assert np.load(beside / "kinds.npy").tolist() == kinds


def test_monuseg_under_other_names(downloads, tmp_path):
    copy = shutil.copytree(downloads["monuseg"], tmp_path / "copy")
    (copy / "Tissue Images").rename(copy / "Tissue_Images")
    (copy / "Annotations").rename(copy / "annotations")
    assert CONVERTERS["monuseg"].find(copy)[0].image == copy / "Tissue_Images" / f"{NAMES[0]}.tif"
