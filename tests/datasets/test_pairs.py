"""Pictures and masks of any usual sort become a fold: in place, at scale, whole, and without padding in the score."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from published import noise, write_image
from scipy.io import savemat
from tiny_run import RECIPE

from helpers.data.fold import Fold, find_folds
from helpers.data.prepare import prepare
from helpers.data.stitching import source_images, stitch
from helpers.datasets.pairs import convert_pairs, resample_labels
from helpers.errors import InputError
from helpers.evaluation import evaluation
from helpers.training.run import train_run

DISC = (201.3, 181.8, 120.0)  # row, column and radius, pixels


@pytest.fixture
def tmp_path(tmp_path) -> Iterator[Path]:
    """An empty folder; removed at once, for pytest would keep it, tiles and all."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def write_pair(folder: Path, stem: str, ids: np.ndarray, suffix: str = ".png") -> None:
    """Write noise of the size of ids to `images`, and the ids to `masks`."""
    image = np.random.default_rng(list(stem.encode())).integers(0, 256, (*ids.shape, 3), np.uint8)
    write_image(folder / f"images/{stem}.png", image)
    write_image(folder / f"masks/{stem}{suffix}", ids)


def rectangles(shape: tuple[int, int] = (100, 90), dtype: type = np.uint8) -> np.ndarray:
    """Give two that touch, with the ids 3 and 7, and a third, 9."""
    ids = np.zeros(shape, dtype)
    ids[10:20, 10:30], ids[20:30, 10:30], ids[60:75, 40:52] = 3, 7, 9
    return ids


def converted(folder: Path, um_per_px: float = 0.25, **options) -> Fold:
    return find_folds(convert_pairs(folder / "images", folder / "masks", folder / "out", um_per_px, **options))[0]


def beside(fold: Fold, name: str) -> list:
    return np.load(fold.images.path.with_name(f"{name}.npy")).tolist()


def stitched(fold: Fold, values: np.ndarray) -> list[np.ndarray]:
    """Put one array of a fold together, picture by picture, without padding."""
    pictures = source_images(np.arange(len(fold)), fold.tissues, fold.pictures, fold.positions, fold.extents)
    return [picture.crop(stitch(values[picture.indices], picture.positions)) for picture in pictures]


def ids_of(fold: Fold) -> np.ndarray:
    return fold.masks.read(0, len(fold))[..., :5].max(-1)


@pytest.mark.parametrize("shape", [(64, 64), (100, 300), (256, 256), (257, 700)])
def test_every_pixel_comes_back_in_its_place(tmp_path, shape):
    write_pair(tmp_path, "a", rectangles(shape))
    fold = converted(tmp_path)
    (image,), (ids,) = stitched(fold, fold.images.read(0, len(fold))), stitched(fold, ids_of(fold))
    np.testing.assert_array_equal(image, cv2.imread(str(tmp_path / "images/a.png"))[..., ::-1])
    np.testing.assert_array_equal(ids, rectangles(shape))
    assert (fold.positions + fold.extents).max(0).tolist() == list(shape)
    assert len(fold) == np.prod([-(-length // 256) for length in shape])  # as few as cover it


def test_padding_is_the_mirror_of_picture_and_mask(tmp_path):
    write_pair(tmp_path, "a", rectangles((100, 300)))
    fold = converted(tmp_path)
    assert fold.extents.tolist() == [[100, 256]] * 2
    for tiles in (fold.images.read(0, 2), fold.masks.read(0, 2)):
        np.testing.assert_array_equal(tiles[:, 100:200], tiles[:, :100][:, ::-1])
        np.testing.assert_array_equal(tiles[:, 200:], tiles[:, :56])
    assert fold.read(0, 2).nuclei.sum(1).tolist() == [3, 1]  # a mirrored nucleus is no other; 44 columns are shared


@pytest.mark.parametrize("um_per_px", [0.1, 0.125, 0.19, 0.2274, 0.25, 0.2517, 0.46, 0.5])
def test_a_disc_stays_where_the_image_shows_it(tmp_path, um_per_px):
    row, column, radius = DISC
    rows, columns = np.mgrid[:400, :380]
    disc = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    write_image(tmp_path / "images/a.png", np.repeat(disc[..., None] * np.uint8(255), 3, axis=-1))
    write_image(tmp_path / "masks/a.png", disc * np.uint8(255))
    fold = converted(tmp_path, um_per_px)
    (image,), (ids,) = stitched(fold, fold.images.read(0, len(fold))), stitched(fold, ids_of(fold))
    assert ids.shape == tuple(round(length * um_per_px / 0.25) for length in (400, 380))
    scale = np.array(ids.shape) / (400, 380)
    true = (np.array([row, column]) + 0.5) * scale - 0.5  # of the centre, pixels being counted from their corners
    for weights in (ids, image[..., 0]):
        centre = (np.indices(weights.shape) * weights).sum((1, 2)) / weights.sum()
        np.testing.assert_allclose(centre, true, atol=0.1)
    assert ids.sum() == pytest.approx(disc.sum() * scale.prod(), rel=0.02)


def test_opencv_would_shift_what_is_halved():
    columns = np.tile(np.arange(512.0), (4, 1))
    for resampled, shift in (
        (resample_labels(columns, 2, 256), 0),
        (cv2.resize(columns, (256, 2), interpolation=cv2.INTER_NEAREST), -0.5),
        (cv2.resize(columns, (256, 2), interpolation=cv2.INTER_NEAREST_EXACT), 0.5),
    ):
        assert np.mean(resampled - (np.arange(256) * 2 + 0.5)) == shift


# Masks of every sort. `expected` are ids and whether nuclei are told apart.


def as_folder(path: Path, ids: np.ndarray) -> None:
    for number in np.unique(ids[ids > 0]):
        write_image(path / f"{number}.png", (ids == number) * np.uint8(255))


WRITERS = {
    "8 bits": lambda path, ids: write_image(path.with_suffix(".png"), ids.astype(np.uint8)),
    "16 bits": lambda path, ids: write_image(path.with_suffix(".png"), ids.astype(np.uint16) * 300),
    "32 bits": lambda path, ids: write_image(path.with_suffix(".tif"), ids.astype(np.int32) * 100_000),
    "floats": lambda path, ids: write_image(path.with_suffix(".tiff"), ids.astype(np.float32)),
    "matlab": lambda path, ids: savemat(path.with_suffix(".mat"), {"inst_map": ids.astype(float)}),
    "folder": as_folder,
    "255": lambda path, ids: write_image(path.with_suffix(".png"), (ids > 0) * np.uint8(255)),
    "one": lambda path, ids: write_image(path.with_suffix(".png"), (ids > 0) * np.uint8(1)),
}


@pytest.mark.parametrize("sort", WRITERS)
def test_masks_of_every_sort(tmp_path, sort):
    ids = rectangles()
    write_pair(tmp_path, "a.b", ids)
    (tmp_path / "masks/a.b.png").unlink()
    (tmp_path / "masks/a.b").mkdir() if sort == "folder" else None
    WRITERS[sort](tmp_path / "masks/a.b" if sort == "folder" else tmp_path / "masks/a.b.x", ids)
    fold = converted(tmp_path)
    (found,) = stitched(fold, ids_of(fold))
    apart = sort not in ("255", "one")
    assert beside(fold, "annotated") == [[False, apart]]
    assert fold.read(0, 1).nuclei.tolist() == [[3 if apart else 2, 0, 0, 0, 0]]
    np.testing.assert_array_equal(found > 0, ids > 0)
    regions = [np.unique(found[ids == number]).tolist() for number in (3, 7, 9)]
    assert [len(values) for values in regions] == [1, 1, 1]
    assert (regions[0] != regions[1]) == apart
    if sort in ("8 bits", "floats", "matlab"):
        np.testing.assert_array_equal(found, ids)
    assert beside(fold, "kinds")[0] == "Untyped"


def test_a_lone_nucleus_among_ids_is_one_however_many_pieces_it_has(tmp_path):
    split = np.zeros((64, 64), np.uint8)
    split[10:20, 10:20] = split[40:50, 40:50] = 1
    write_pair(tmp_path, "split", split)
    write_pair(tmp_path, "others", rectangles())
    write_pair(tmp_path, "mask", split * 255)
    fold = converted(tmp_path)
    assert beside(fold, "pictures") == ["mask", "others", "split"]
    assert fold.read(0, 3).nuclei[:, 0].tolist() == [2, 3, 1]
    assert beside(fold, "annotated") == [[False, False], [False, True], [False, True]]


def test_overlapping_masks_leave_the_pixels_to_the_first(tmp_path):
    write_pair(tmp_path, "a", rectangles())
    (tmp_path / "masks/a.png").unlink()
    first, second = np.zeros((2, 100, 90), np.uint8)
    first[10:20, 10:20], second[15:30, 15:30] = 255, 255
    write_image(tmp_path / "masks/a/1.png", first)
    write_image(tmp_path / "masks/a/2.png", second)
    found = ids_of(converted(tmp_path))[0, :100, :90]
    assert [(found == number).sum() for number in (1, 2)] == [100, 200]


# Kinds, groups and tissues.


def kinds_of_rectangles() -> np.ndarray:
    kinds = np.zeros((100, 90), np.uint8)
    kinds[rectangles() == 3], kinds[rectangles() == 7], kinds[rectangles() == 9] = 1, 5, 2
    return kinds


@pytest.mark.parametrize("sort", ["folder", "values", "mask", "matlab"])
def test_kinds_go_to_their_channels(tmp_path, sort):
    write_pair(tmp_path, "a", {"values": kinds_of_rectangles(), "mask": (rectangles() > 0) * np.uint8(255)}.get(
        sort, rectangles()
    ))  # fmt: skip
    write_image(tmp_path / "kinds/a.png", kinds_of_rectangles())
    options = {"kinds": tmp_path / ("masks" if sort == "values" else "kinds")}
    if sort == "matlab":
        (tmp_path / "masks/a.png").unlink()
        maps = {"inst_map": rectangles(), "type_map": kinds_of_rectangles()}
        savemat(tmp_path / "masks/a.mat", maps)
        options = {}
    fold = converted(tmp_path, **options)
    masks = fold.masks.read(0, 1)[0, :100, :90]
    for channel, number in ((0, 3), (4, 7), (1, 9)):
        np.testing.assert_array_equal(masks[..., channel] > 0, rectangles() == number)
    np.testing.assert_array_equal(masks[..., 5], rectangles() == 0)
    assert fold.read(0, 1).nuclei.tolist() == [[1, 1, 0, 0, 1]]
    assert beside(fold, "annotated") == [[True, sort in ("folder", "matlab")]]
    assert beside(fold, "kinds") == ["Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial"]


def test_kinds_of_ones_own_have_their_names(tmp_path):
    write_pair(tmp_path, "a", (rectangles() > 0).astype(np.uint8))
    fold = converted(tmp_path, kinds=tmp_path / "masks", kind_names=("Lymphocyte", "Other"))
    assert beside(fold, "kinds") == ["Lymphocyte", "Other", "Unused", "Unused", "Unused"]


def test_groups_and_tissues(tmp_path):
    for stem in ("07_1", "07_2", "11_1"):
        write_pair(tmp_path, stem, rectangles())
    table = tmp_path / "tissues.csv"
    table.write_text("\ufeffimage,tissue\n07_1,Breast\n07_2,Breast\n11_1,Colon\n", encoding="utf-8")
    fold = converted(tmp_path, group_pattern=r"^\d+", tissue=str(table))
    assert fold.groups.tolist() == ["07", "07", "11"]
    assert fold.pictures.tolist() == ["07_1", "07_2", "11_1"]
    assert fold.tissues.tolist() == ["Breast", "Breast", "Colon"]
    assert len(stitched(fold, ids_of(fold))) == 3  # two pictures of a patient are not one


# The fold is scored and trained on.


@pytest.mark.filterwarnings("ignore:.*the colours are not those")  # random ones
def test_padding_is_never_scored(tmp_path, finished_run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shapes = {"a1": (100, 90), "a2": (64, 300), "b1": (260, 70)}
    for stem, shape in shapes.items():
        write_pair(tmp_path, stem, rectangles(shape))
    out = converted(tmp_path, group_pattern="[ab]").images.path.parents[1]
    entry = evaluation.evaluate(finished_run.copy(tmp_path / "run"), out, torch.device("cpu"))
    rows = {row["name"]: row for row in entry["images"]}
    pixels = {name: sum(row[key] for key in evaluation.COUNT_NAMES) for name, row in rows.items()}
    assert pixels == {stem: height * width for stem, (height, width) in shapes.items()}
    nuclei = {stem: (rectangles(shape) > 0).sum() for stem, shape in shapes.items()}
    assert {name: row["tp"] + row["fn"] for name, row in rows.items()} == nuclei
    assert entry["predictors"]["model"]["units"] == 2
    assert {name: scored["n"] for name, scored in entry["by_nuclei"].items()} == {"1-3": 5}


def test_a_fold_of_pairs_trains(tmp_path):
    for number in range(10):
        write_pair(tmp_path, f"{number}", rectangles((70, 80)))
    out = converted(tmp_path).images.path.parents[1]
    results = train_run(out, tmp_path / "run", RECIPE, device=torch.device("cpu"), log=lambda line: None)
    assert (results["data"]["train_tiles"], results["data"]["validation_tiles"]) == (8, 2)
    assert results["data"]["split"] == "groups"
    assert prepare(out, 64, progress=False).extents.tolist() == [[70, 80]] * 10


# What goes wrong.


def alone(folder: Path) -> None:
    write_image(folder / "images/p.png", noise(64))
    write_image(folder / "masks/q_mask.png", rectangles())


def halves(folder: Path) -> None:
    (folder / "masks/a.png").unlink()
    write_image(folder / "masks/a.tif", rectangles() + np.float32(0.5))


def damage(name: str, content: object) -> object:
    return lambda folder: (
        (folder / name).write_bytes(content) if isinstance(content, bytes) else write_image(folder / name, content)
    )


@pytest.mark.parametrize(
    ("how", "options", "messages"),
    [
        (alone, {}, ["1 in ", "(p)", "(q_mask)", "rename them"]),
        (damage("masks/a.png", rectangles((100, 91))), {}, ["found 100 x 91 pixels, expected 100 x 90"]),
        (damage("masks/a.png", noise(64)), {}, ["found RGB (3 channels), expected one channel"]),
        (damage("masks/a.png", b"no picture"), {}, ["found no picture that can be read"]),
        (damage("images/a.png", rectangles()), {}, ["found L (1 channels), expected a colour picture"]),
        (damage("images/a.png", noise(63)), {}, ["found 63 x 63 pixels, expected 64 x 64 at least"]),
        (damage("images/a.jpg", noise(100)), {}, ["found a.jpg of the same name beside it"]),
        (damage("masks/a.tif", rectangles()), {}, ["found a.png of the same name beside it"]),
        (halves, {}, ["a.tif: found other values than ids"]),
        (lambda folder: shutil.rmtree(folder / "masks"), {}, ["masks: found no such folder"]),
        (lambda folder: (folder / "images/a.png").unlink(), {}, ["images: found no file that ends in .png"]),
        (None, {"um_per_px": 0.05}, ["um_per_px: expected 0.1 to 1.0 micrometres"]),
        (None, {"um_per_px": 40.0}, ["um_per_px: expected 0.1 to 1.0 micrometres", "found 40.0"]),
        (None, {"um_per_px": float("nan")}, ["um_per_px: expected"]),
        (None, {"group_pattern": "("}, ["expected a regular expression"]),
        (None, {"group_pattern": "x"}, ["found nothing in 'a'"]),
        (None, {"kinds": "kinds"}, ["kinds: found no such folder"]),
        (damage("kinds/a.png", rectangles()), {"kinds": "kinds"}, ["found a nucleus of kind 7, expected 1 to 5"]),
        (damage("kinds/a.png", 0 * rectangles()), {"kinds": "kinds"}, ["found a nucleus of kind 0, expected 1 to 5"]),
        (damage("kinds/b.png", rectangles()), {"kinds": "kinds"}, ["(a)", "(b)"]),
        (None, {"kind_names": ("a",) * 6}, ["kind names: expected 1 to 5, found 6"]),
        (damage("tissues.csv", b"image;tissue\na;Colon\n"), {"tissue": "tissues.csv"}, ["expected a table"]),
        (damage("tissues.csv", b"image,tissue\nb,Colon\n"), {"tissue": "tissues.csv"}, ["found no tissue of a"]),
        (damage("masks/a.png", cv2.GaussianBlur((rectangles() > 0) * np.uint8(255), (3, 3), 0)), {}, ["soft borders"]),
    ],
)
def test_what_does_not_fit_is_said_in_one_line_and_leaves_nothing(tmp_path, how, options, messages):
    write_pair(tmp_path, "a", rectangles())
    if how:
        how(tmp_path)
    before = sorted(os.listdir(tmp_path))
    options = {key: tmp_path / name if key == "kinds" else name for key, name in options.items()}
    if "tissue" in options:
        options["tissue"] = str(tmp_path / options["tissue"])
    with pytest.raises(InputError) as error:
        converted(tmp_path, **options)
    assert "\n" not in str(error.value)
    for message in messages:
        assert message in str(error.value)
    assert sorted(os.listdir(tmp_path)) == before


# External sets.


def test_real_pannuke_tiles(external_sets, tmp_path):
    source = external_sets / "pannuke"
    fold = find_folds(
        convert_pairs(
            source / "images",
            source / "instances",
            tmp_path / "out",
            0.25,
            kinds=source / "kinds",
            tissue=str(source / "tissues.csv"),
        )
    )[0]
    tiles = fold.read(0, len(fold))
    assert len(fold) == 15
    assert tiles.nuclei.sum(0).tolist() == [174, 92, 46, 0, 16]  # 328
    assert dict(zip(*np.unique(fold.tissues, return_counts=True), strict=True)) == {
        "Bile-duct": 1, "Breast": 3, "Cervix": 1, "Colon": 3, "Esophagus": 3, "Liver": 1, "Testis": 3,
    }  # fmt: skip
    assert not tiles.void.any()
    assert (fold.masks.read(0, 15)[..., 5] == (tiles.class_maps == 0)).all()
    cache = prepare(tmp_path / "out", 256, "majority", progress=False)
    np.testing.assert_array_equal(cache.images, tiles.images)


def test_real_pictures_of_one_patient_stay_together(external_sets, tmp_path):
    source = external_sets / "tnbc"
    for part, suffix in (("images", "jpg"), ("instances", "png")):
        (tmp_path / part).mkdir()
        for stem in ("01_1", "01_2", "11_3"):
            shutil.copyfile(source / f"{part}/{stem}.{suffix}", tmp_path / f"{part}/{stem}.{suffix}")
    out = convert_pairs(
        tmp_path / "images", tmp_path / "instances", tmp_path / "out", 0.25, group_pattern=r"^\d+", tissue="Breast"
    )
    (fold,) = find_folds(out)
    assert fold.groups.tolist() == ["01"] * 8 + ["11"] * 4
    for stem, ids in zip(("01_1", "01_2", "11_3"), stitched(fold, ids_of(fold)), strict=True):
        np.testing.assert_array_equal(ids, cv2.imread(str(source / f"instances/{stem}.png"), cv2.IMREAD_UNCHANGED))
