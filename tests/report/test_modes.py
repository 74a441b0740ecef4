"""The notebook's two modes."""

from dataclasses import replace

import pytest

from helpers.data.fold import find_folds
from helpers.errors import InputError
from helpers.pictures.reading import open_picture
from helpers.report import modes
from helpers.training.control import control_recipe


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write = modes.write_sample_fold
    monkeypatch.setattr(modes, "write_sample_fold", lambda folder: write(folder, num_tiles=4, dtype="uint8"))


def test_quick_is_the_default_and_writes_sample_tiles_under_build(tmp_path):
    mode = modes.choose_mode({"NUCLEI_DATASET": "elsewhere"})
    assert (mode.name, mode.recipe.name, mode.label) == ("quick", "quick", "this run, sample tiles")
    assert [len(fold) for fold in find_folds(mode.dataset)] == [4]
    assert {path.name for path in tmp_path.iterdir()} == {"build"}


def test_the_control_is_that_of_the_recipe():
    mode = modes.choose_mode({})
    control = mode.control_recipe
    assert control == replace(control_recipe(mode.recipe, control.shuffled_masks), epochs=control.epochs)
    assert 0 < mode.sanity_tiles <= mode.explained_tiles


def test_quick_starts_afresh(tmp_path):
    leftover = tmp_path / "build" / "quick" / "run" / "last.pth"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    assert not modes.choose_mode({}).run.exists()


def test_full_takes_the_named_data_set_and_the_report_recipe(tmp_path):
    mode = modes.choose_mode({"NUCLEI_MODE": "full", "NUCLEI_DATASET": "PanNuke/Fold 1"})
    assert (mode.dataset.name, mode.recipe.name, mode.label) == ("Fold 1", "report", "this run, Fold 1")
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")] == [modes.PICTURE]


def test_the_reader_s_picture_is_painted_afresh_and_tells_its_scale(tmp_path):
    (tmp_path / modes.PICTURE.parent / "found").mkdir(parents=True)
    mode = modes.choose_mode({})
    assert [path.name for path in mode.picture.parent.iterdir()] == ["tissue.tif"]
    with open_picture(mode.picture) as picture:
        assert (picture.height, picture.width, picture.um_per_px) == (512, 512, 0.25)


def test_another_mode_is_refused():
    with pytest.raises(InputError, match="NUCLEI_MODE.*'fast'"):
        modes.choose_mode({"NUCLEI_MODE": "fast"})
