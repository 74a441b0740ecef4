"""The three sets as published: which images are found, and what each pixel of them becomes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from published import noise, write_consep, write_monuseg, write_nuinsseg
from scipy.io import savemat

from helpers.config import CLASS_NAMES
from helpers.datasets.published import (
    find_consep,
    find_monuseg,
    find_nuinsseg,
    halve_instances,
    read_consep,
    read_monuseg,
    read_nuinsseg,
)
from helpers.errors import InputError

BLANK = np.zeros((1000, 1000, 3), np.uint8)


@pytest.fixture
def tmp_path(tmp_path) -> Iterator[Path]:
    """An empty folder; removed at once, for pytest would keep it, images and all."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def refusal(call, *arguments) -> str:
    with pytest.raises(InputError) as error:
        call(*arguments)
    return str(error.value)


# MoNuSeg.


@pytest.mark.parametrize("apart", [True, False])
def test_monuseg_is_found_in_two_folders_or_in_one(tmp_path, apart):
    names = ["TCGA-G9-6336-01Z-00-DX1", "TCGA-18-5592-01Z-00-DX1", "TCGA-99-0000-01Z-00-DX1", "slide-18"]
    write_monuseg(tmp_path / "set", dict.fromkeys(names, BLANK[:8]), [(0, 0, 4, 4)], apart)
    pairs = find_monuseg(tmp_path / "set")
    assert [pair.group for pair in pairs] == sorted(names)
    assert [pair.tissue for pair in pairs] == ["Liver", "unknown", "Prostate", "unknown"]
    assert all(pair.image.stem == pair.labels.stem == pair.group for pair in pairs)


def test_monuseg_outlines_become_numbered_pixels(tmp_path):
    image = noise(1000)
    write_monuseg(tmp_path / "set", {"TCGA-A7-A13E": image}, [(10, 20, 30, 45), (990, 0, 1004, 7)])
    found, instances, channels = read_monuseg(find_monuseg(tmp_path / "set")[0])
    expected = np.zeros((1000, 1000), int)
    expected[20:45, 10:30] = 1
    expected[0:7, 990:] = 2
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(instances, expected)
    assert (instances.dtype, channels.dtype) == (np.uint16, np.uint8)
    assert not channels.any()


def test_monuseg_without_a_part_is_refused(tmp_path):
    folder = write_monuseg(tmp_path / "set", {"one": BLANK[:8]}, [(0, 0, 4, 4)])
    (folder / "Annotations/one.xml").unlink()
    assert refusal(find_monuseg, folder).startswith(f"{folder / 'Annotations/one.xml'}: found no such file")
    (folder / "Annotations").rmdir()
    assert refusal(find_monuseg, folder).startswith(f"{folder / 'Annotations'}: found no such folder")
    assert refusal(find_monuseg, tmp_path).startswith(f"{tmp_path}: found no *.tif")
    assert refusal(find_monuseg, tmp_path / "none").startswith(f"{tmp_path / 'none'}: found no such folder")


# CoNSeP.


def test_consep_is_found(tmp_path):
    write_consep(tmp_path / "Train", {"train_2": BLANK[:8], "train_10": BLANK[:8]}, {1: (1, (0, 0, 4, 4))})
    found = [(pair.image.name, pair.labels.name, pair.tissue, pair.group) for pair in find_consep(tmp_path / "Train")]
    assert found == [
        ("train_10.png", "train_10.mat", "Colon", "consep-train_10"),
        ("train_2.png", "train_2.mat", "Colon", "consep-train_2"),
    ]


def test_consep_types_become_pannukes_channels_and_ids_are_kept(tmp_path):
    image = noise(1000)
    places = {kind: (40 * kind, 10, 40 * kind + 9, 30) for kind in range(1, 8)}
    nuclei = {100 * kind + 3: (kind, place) for kind, place in places.items()}
    found, instances, channels = read_consep(
        find_consep(write_consep(tmp_path / "Train", {"train_1": image}, nuclei))[0]
    )
    np.testing.assert_array_equal(found, image)
    assert np.unique(instances).tolist() == [0, *nuclei]
    named = {}
    for number, (kind, (left, top, right, bottom)) in nuclei.items():
        assert (instances[top:bottom, left:right] == number).all()
        (channel,) = np.unique(channels[instances == number])
        named[kind] = CLASS_NAMES[channel]
    assert named == {
        **{1: "Dead", 2: "Inflammatory", 3: "Epithelial", 4: "Epithelial"},
        **dict.fromkeys((5, 6, 7), "Connective"),
    }


@pytest.mark.parametrize(("kind", "said"), [(0, "type 0"), (8, "type 8")])
def test_consep_of_an_unknown_type_is_refused(tmp_path, kind, said):
    (pair,) = find_consep(write_consep(tmp_path / "Train", {"train_1": BLANK}, {1: (kind, (0, 0, 4, 4))}))
    assert refusal(read_consep, pair).startswith(f"{pair.labels}: found a nucleus of {said}, expected 1 to 7")


def test_consep_that_does_not_fit_is_refused(tmp_path):
    folder = write_consep(tmp_path / "Train", {"train_1": BLANK}, {1: (2, (0, 0, 4, 4))})
    (pair,) = find_consep(folder)
    savemat(pair.labels, {"inst_map": np.zeros((1000, 999)), "type_map": np.zeros((1000, 999))})
    assert refusal(read_consep, pair).startswith(f"{pair.labels}: found 1000 x 999 pixels, expected 1000 x 1000")
    pair.labels.unlink()
    assert refusal(find_consep, folder).startswith(f"{pair.labels}: found no such file")
    assert refusal(find_consep, tmp_path).startswith(f"{tmp_path / 'Images'}: found no such folder")


# NuInsSeg.


def test_nuinsseg_is_found_organ_by_organ(tmp_path):
    pair = (BLANK[:8], np.zeros((8, 8), np.uint16))
    organs = {"mouse lung": {"m_1": pair}, "human bladder": {"h_2": pair, "h_1": pair}}
    folder = write_nuinsseg(tmp_path / "set", organs)
    (folder / "__MACOSX").mkdir()
    (folder / "readme.txt").touch()
    found = [(pair.image.stem, pair.labels.parent.name, pair.tissue, pair.group) for pair in find_nuinsseg(folder)]
    assert found == [
        ("h_1", "label masks modify", "human bladder", "nuinsseg-human bladder"),
        ("h_2", "label masks modify", "human bladder", "nuinsseg-human bladder"),
        ("m_1", "label masks modify", "mouse lung", "nuinsseg-mouse lung"),
    ]


def test_nuinsseg_is_halved_and_brightened(tmp_path):
    image, ids = np.full((512, 512, 3), 198, np.uint8), np.zeros((512, 512), np.uint16)
    image[100:102, 200:202] = [[[100, 0, 7]], [[101, 40, 250]]]
    image[300:302, 300:302] = 250  # which does not grow brighter than white
    ids[10:30, 40:80] = 300
    ids[10:30, 80:90] = 2
    folder = write_nuinsseg(tmp_path / "set", {"human bladder": {"h_1": (image, ids)}})
    found, instances, channels = read_nuinsseg(find_nuinsseg(folder)[0])
    assert (found.dtype, instances.dtype, channels.dtype) == (np.uint8, np.uint16, np.uint8)
    # 100.5, 20 and 128.5 times 255/198 are 129.4, 25.8 and 165.5
    assert found[50, 100].tolist() == [129, 26, 165]
    found[50, 100] = 255
    assert (found == 255).all()
    expected = np.zeros((256, 256), int)
    expected[5:15, 20:40] = 300
    expected[5:15, 40:45] = 2
    np.testing.assert_array_equal(instances, expected)
    assert not channels.any()


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ([0, 0, 0, 0], 0),
        ([0, 0, 0, 6], 0),
        ([0, 6, 6, 0], 6),
        ([0, 6, 4, 0], 6),  # half of it is nucleus, of two nuclei: the first
        ([4, 6, 6, 0], 6),
        ([4, 4, 6, 6], 4),
        ([9, 8, 7, 7], 7),
        ([5, 5, 5, 5], 5),
    ],
)
def test_a_block_goes_to_the_commonest_id(block, expected):
    assert halve_instances(np.array(block, np.uint16).reshape(2, 2)).tolist() == [[expected]]


def test_halved_nuclei_are_what_a_halved_mask_shows():
    ids = np.random.default_rng(0).integers(0, 4, (64, 64), np.uint16) * 7
    shares = (ids > 0).reshape(32, 2, 32, 2).mean(axis=(1, 3))
    np.testing.assert_array_equal(halve_instances(ids) > 0, shares >= 0.5)


def test_nuinsseg_without_a_part_is_refused(tmp_path):
    folder = write_nuinsseg(tmp_path / "set", {"human bladder": {"h_1": (BLANK[:8], np.zeros((8, 8), np.uint16))}})
    assert refusal(find_nuinsseg, folder / "human bladder/tissue images").endswith("the folder that holds them")
    (folder / "notes").mkdir()
    assert refusal(find_nuinsseg, folder).startswith(f"{folder / 'notes/tissue images'}: found no such folder")
    (folder / "notes").rmdir()
    (folder / "human bladder/label masks modify/h_1.tif").rename(tmp_path / "away.tif")
    assert "label masks modify" in refusal(find_nuinsseg, folder)
