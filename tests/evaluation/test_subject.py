"""What is scored, and on which tiles: a run, weights beside what was published of them, weights alone."""

import dataclasses
import shutil
from functools import partial

import numpy as np
import pytest
from folds import example_images, example_masks, write_fold
from published import noise, write_monuseg
from tiny_run import change_results, read_results

from helpers.data.prepare import prepare
from helpers.datasets.convert import convert
from helpers.errors import InputError, InputWarning
from helpers.evaluation.evaluation import evaluate
from helpers.evaluation.subject import PARTS, choose_tiles, open_subject, read_training_tiles
from helpers.files import read_json, write_json
from helpers.inference.trained_model import WEIGHTS, load_model
from helpers.sources import Seen
from helpers.training.checkpoints import add_sources, export_weights


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Scores of weights go to `runs` in the working folder."""
    monkeypatch.chdir(tmp_path)
    yield
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)


@pytest.fixture
def weights(finished_run, tmp_path):
    """The finished run's weights, and beside them what `publish` would say of them."""
    path = tmp_path / "models" / "tiny.safetensors"
    path.parent.mkdir()
    digest = export_weights(finished_run.folder / "best_model.pth", path)
    results = read_results(finished_run.folder)
    write_json(
        path.with_name("results.json"), {"shipped": {"run": "tiny", "digest": digest}, "runs": {"tiny": results}}
    )
    return path


def draw_anew(dataset, folder):
    """Copy a data set and move every mask by a pixel."""
    shutil.copytree(dataset, folder)
    masks = np.load(folder / "Masks/masks.npy")
    np.save(folder / "Masks/masks.npy", np.roll(masks, 1, axis=1))
    return folder


def test_weights_are_scored_on_the_groups_that_their_run_kept(weights, finished_run, tmp_path):
    data = read_results(finished_run.folder)["data"]
    entry = evaluate(weights, finished_run.dataset)
    assert (entry["part"], entry["tiles"]) == ("validation", len(data["validation_indices"]))
    found = read_json(tmp_path / "runs/tiny/results.json")
    assert found["weights"] == {"file": "tiny.safetensors", "digest": load_model(weights).digest}
    assert found["data"] == {"path": str(finished_run.dataset.resolve())}
    assert list(found["evaluations"]) == [f"slides:{entry['digest'][:12]}"]


def test_a_folder_that_holds_weights_will_do(weights, finished_run):
    assert open_subject(weights.parent).model.digest == load_model(weights).digest == load_model(weights.parent).digest
    shutil.copyfile(weights, weights.with_name("other.safetensors"))
    with pytest.raises(InputError, match="expected the folder of a finished run"):
        open_subject(weights.parent)
    shutil.copyfile(weights, (run := finished_run.copy(weights.parent / "run")) / "tuned.safetensors")
    assert open_subject(run).name == str(run)  # a run goes before the weights in its folder


def test_masks_drawn_anew_keep_the_validation_groups(weights, finished_run, tmp_path):
    anew = draw_anew(finished_run.dataset, tmp_path / "anew")
    data = read_results(finished_run.folder)["data"]
    for source in (weights, finished_run.folder):
        subject = open_subject(source)
        cache = prepare(anew, 64, progress=False)
        assert cache.digest != data["digest"]
        part, indices = choose_tiles(subject, cache)
        assert (part, indices.tolist()) == ("validation", data["validation_indices"])


@pytest.mark.filterwarnings("ignore:.*the colours are not those")  # random ones
def test_weights_that_nothing_was_published_of_know_their_training_tiles(weights, finished_run, tmp_path):
    weights.with_name("results.json").unlink()
    with pytest.raises(InputError, match=r"slides: \S*tiny.safetensors was trained on \d+ of these 24 tiles"):
        evaluate(weights, finished_run.dataset)
    other = write_fold(tmp_path / "other", example_images(2), example_masks(2))
    assert evaluate(weights, other)["part"] == "all"


def named(finished_run, folder, seed=1):
    """Write the finished run's data set with other pixels and, for its slides, patients: as another copy would be."""
    images = np.load(finished_run.dataset / "Images/images.npy")
    patients = [f"TCGA-18-{group[-3:]}0-01Z-00-DX1" for group in np.load(finished_run.dataset / "Images/groups.npy")]
    noise = np.random.default_rng(seed).integers(0, 2, images.shape, np.uint8)
    return write_fold(folder, images ^ noise, np.load(finished_run.dataset / "Masks/masks.npy"), groups=patients)


@pytest.fixture
def copy_of_published(weights, finished_run, tmp_path):
    """Weights alone that were trained on patients of a published set, and another copy of that set."""
    weights.with_name("results.json").unlink()
    data = read_results(finished_run.folder)["data"]
    copy = named(finished_run, tmp_path / "copy")
    groups = np.load(copy / "Images/groups.npy")
    validation = np.isin(np.arange(len(groups)), data["validation_indices"])
    add_sources(weights, groups[~validation].tolist(), groups[validation].tolist())
    return weights, copy, validation


def part_of(copy, folder, chosen, *kept):
    """Write some tiles of a fold as a fold."""
    fields = {name: np.load(copy / f"Images/{name}.npy")[chosen].tolist() for name in kept}
    images, masks = np.load(copy / "Images/images.npy")[chosen], np.load(copy / "Masks/masks.npy")[chosen]
    return prepare(write_fold(folder, images, masks, **fields), 64, progress=False)


def test_another_copy_is_known_by_the_names_of_its_sources(copy_of_published, tmp_path):
    weights, copy, validation = copy_of_published
    subject = open_subject(weights)
    part, indices = choose_tiles(subject, prepare(copy, 64, progress=False))
    assert (part, indices.tolist()) == ("validation", np.flatnonzero(validation).tolist())
    with pytest.raises(
        InputError, match=r"on 20 of these 20 tiles \(0 by their pixels, 20 by the names of .*TCGA-18-0"
    ):
        choose_tiles(subject, part_of(copy, tmp_path / "trained", ~validation, "groups"))


def test_sources_that_chose_the_epoch_are_named(copy_of_published, tmp_path):
    weights, copy, validation = copy_of_published
    cache = part_of(copy, tmp_path / "held", validation, "groups")
    with pytest.warns(InputWarning, match=r"held: found 1 source images that chose the epoch of .*tiny.safetensors"):
        part, indices = choose_tiles(open_subject(weights), cache)
    assert (part, len(indices)) == ("all", 4)


def test_without_names_the_same_copy_is_not_known(copy_of_published, tmp_path):
    weights, copy, validation = copy_of_published
    cache = part_of(copy, tmp_path / "nameless", ~validation)
    assert choose_tiles(open_subject(weights), cache)[0] == "all"


def test_scores_of_other_weights_are_not_mixed_in(weights, finished_run, tmp_path):
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    write_json(folder / "results.json", {"weights": {"file": "tiny.safetensors", "digest": "0" * 64}})
    with pytest.raises(InputError, match="expected scores of tiny.safetensors with the digest"):
        evaluate(weights, finished_run.dataset)


def test_the_scores_folder_is_no_run(weights, finished_run, tmp_path):
    evaluate(weights, finished_run.dataset)
    with pytest.raises(InputError, match="the folder of a finished run, found a results.json of something else"):
        open_subject(tmp_path / "runs" / "tiny")


def test_nothing_given_is_the_shipped_model():
    subject = open_subject()
    assert subject.name == str(WEIGHTS)
    assert subject.model.digest == load_model().digest
    assert subject.data["validation_groups"]
    assert subject.recipe.network == subject.model.network.name


def test_the_download_of_an_image_that_trained_the_shipped_weights_is_known(tmp_path):
    trained, validated = "TCGA-18-5592-01Z-00-DX1", "TCGA-49-4488-01Z-00-DX1"
    images = {name: noise(1000, seed) for seed, name in enumerate((trained, validated))}
    fold = convert(write_monuseg(tmp_path / "set", images, [(20, 20, 60, 60)]), tmp_path / "fold", "monuseg")
    cache = prepare(fold, 32, progress=False)
    with pytest.raises(InputError, match=r"trained on 16 of these 32 tiles \(0 by their pixels, 16 .*TCGA-18-5592\)"):
        choose_tiles(open_subject(), cache)
    shutil.rmtree(fold)


# The test fold of an official split.


@pytest.fixture
def official(finished_run, tmp_path):
    """A run as if trained by official split 2 on three folds of two tiles, and these."""
    for number in (1, 2, 3):
        images = example_images(2, seed=number)
        write_fold(tmp_path / "three", images, example_masks(2), layout="pannuke", number=number)
    run, cache = finished_run.copy(tmp_path / "run"), prepare(tmp_path / "three", 64, progress=False)
    data = {"name": "three", "digest": cache.digest, "split": "official 2", "validation_indices": [0, 1]}
    change_results(run, data=data | {"validation_groups": None})
    return run, cache


def test_the_test_fold_of_an_official_split(official):
    run, cache = official
    subject = open_subject(run)
    assert [(part, tiles.tolist()) for part, tiles in map(partial(choose_tiles, subject, cache), PARTS)] == [
        ("validation", [0, 1]),
        ("test", [4, 5]),  # split 2 trains on fold 2 and validates on fold 1
    ]
    assert cache.fold_numbers[[4, 5]].tolist() == [2, 2]
    assert cache.official[2] == 3


def test_tiles_of_the_test_fold_that_trained_it_are_left_out(official):
    run, cache = official
    subject = open_subject(run)
    seen = Seen(training_tiles=cache.tile_digests[[2, 5]].tolist())
    subject = dataclasses.replace(subject, model=dataclasses.replace(subject.model, seen=seen))
    with pytest.warns(InputWarning, match=r"three: \S*run was trained on 1 of the 2 tiles of its test fold \(1 by"):
        assert choose_tiles(subject, cache, "test")[1].tolist() == [4]


@pytest.mark.filterwarnings("ignore:.*the colours are not those")  # random ones
def test_both_parts_of_an_official_split_stand_beside_each_other(official):
    run, cache = official
    for part, times in (("test", 1), ("validation", 1), ("test", 2)):
        entry = evaluate(run, run.with_name("three"), part=part)
        assert (entry["part"], entry["times_scored"], entry["tiles"]) == (part, times, 2)
        assert entry["nuclei"]["scores"]["n"] == 2
    key = f"three:{cache.digest[:12]}"
    assert list(read_results(run)["evaluations"]) == [key, f"{key}:test"]


def test_other_splits_and_other_data_have_no_test_fold(official, finished_run, tmp_path):
    run, cache = official
    with pytest.raises(InputError, match=r"slides: expected the three folds .* found a model divided by groups; train"):
        choose_tiles(open_subject(finished_run.folder), prepare(finished_run.dataset, 64, progress=False), "test")
    other = prepare(write_fold(tmp_path / "other", example_images(2), example_masks(2)), 64, progress=False)
    with pytest.raises(InputError, match=r"other: expected the three folds .* found a model of another data set"):
        choose_tiles(open_subject(run), other, "test")


# Real tissue.


def test_what_trained_the_shipped_weights_is_known_in_the_real_data_set(real_dataset):
    subject = open_subject()
    cache = prepare(real_dataset, 256, "majority", progress=False)
    if not set(subject.data["validation_groups"]) < set(cache.groups.tolist()):
        pytest.skip(f"{real_dataset} is not the data set that the shipped weights were trained on")
    trained = ~np.isin(cache.groups, subject.data["validation_groups"])
    seen, _ = cache.find_seen(np.arange(len(cache)), subject.model.seen)
    np.testing.assert_array_equal(seen, trained)  # MoNuSeg's pixels have changed, its names have not
    part, indices = choose_tiles(subject, cache)
    assert (part, indices.tolist()) == ("validation", np.flatnonzero(~trained).tolist())


def test_training_tiles_are_spread_evenly_and_none_validates(weights, finished_run, tmp_path):
    cache = prepare(finished_run.dataset, 64, progress=False)
    training = np.setdiff1d(np.arange(len(cache)), read_results(finished_run.folder)["data"]["validation_indices"])
    np.testing.assert_array_equal(read_training_tiles(weights, finished_run.dataset), cache.images[training])
    np.testing.assert_array_equal(
        read_training_tiles(weights, finished_run.dataset, 3),
        cache.images[training[[0, round((len(training) - 1) / 2), -1]]],
    )
    other = write_fold(tmp_path / "other", example_images(2), example_masks(2))
    with pytest.raises(InputError, match=r"other: expected tiles that .*tiny\.safetensors was trained on, found none"):
        read_training_tiles(weights, other)
