"""Where a run starts. What a whole run makes of it, `test_run` tells."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_run import RECIPE, make_network

from helpers.config import CLASS_NAMES, OUTPUTS
from helpers.data.prepare import prepare
from helpers.data.split import split_tiles
from helpers.errors import InputError
from helpers.networks import build_own_network
from helpers.sources import Seen
from helpers.training.checkpoints import load_checkpoint, save_checkpoint
from helpers.training.resume import LAST, resume_or_start


@pytest.fixture
def start(finished_run):
    """Start, or take up, a run on the tiles of the finished one."""
    cache = prepare(finished_run.dataset, 64, "nearest", progress=False)
    return lambda run, init=None: resume_or_start(run, RECIPE, cache, split_tiles(cache, 0), init)


def test_a_new_run_starts_at_random_and_writes_nothing(start, tmp_path):
    state = start(tmp_path / "run")
    assert state["history"] == []
    assert state["encoder_start"] == "random"
    assert not state["halved"]
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_taken_up(start, finished_run):
    state = start(finished_run.folder)
    saved, _ = load_checkpoint(finished_run.folder / LAST)
    assert [row["epoch"] for row in state["history"]] == [1, 2]
    assert all(map(torch.equal, state["model"].state_dict().values(), saved.state_dict().values()))
    assert {"optimizer", "scheduler", "scaler"} <= set(state)


def test_weights_that_saw_the_validation_tiles_are_refused(start, finished_run, tmp_path):
    cache = prepare(finished_run.dataset, 64, "nearest", progress=False)
    seen = cache.tile_digests[split_tiles(cache, 0).validation[:1]].tolist()
    save_checkpoint(tmp_path / "given.pth", make_network(), training_tiles=seen)
    with pytest.raises(InputError, match=r"were trained on 1 of the 4 validation tiles \(1 by their pixels, 0 by the"):
        start(tmp_path / "run", tmp_path / "given.pth")
    save_checkpoint(tmp_path / "other.pth", make_network(), training_tiles=["0" * 16])
    state = start(tmp_path / "run", tmp_path / "other.pth")
    assert state["earlier"] == Seen(("0" * 16,), None)
    assert state["encoder_start"].endswith("/other.pth")
    assert np.isclose(state["model"].dropout.p, RECIPE.dropout)


def test_weights_that_saw_another_copy_of_the_validation_tiles_are_refused(finished_run, tmp_path):
    cache = prepare(finished_run.dataset, 64, "nearest", progress=False)
    patients = [f"TCGA-18-{group[-3:]}0-01Z-00-DX1" for group in cache.groups.tolist()]
    cache = dataclasses.replace(cache, groups=np.array(patients))
    split = split_tiles(cache, 0)
    (patient,) = {group[:12] for group in cache.groups[split.validation].tolist()}
    about = {"training_tiles": ["0" * 16], "training_sources": [patient]}
    save_checkpoint(tmp_path / "given.pth", make_network(), **about)
    spoke = (
        rf"were trained on 4 of the 4 validation tiles \(0 by their pixels, 4 by the names of their sources: {patient}"
    )
    with pytest.raises(InputError, match=spoke):
        resume_or_start(tmp_path / "run", RECIPE, cache, split, tmp_path / "given.pth")
    save_checkpoint(tmp_path / "given.pth", make_network(), **about | {"training_sources": ["TCGA-18-9999"]})
    state = resume_or_start(tmp_path / "run", RECIPE, cache, split, tmp_path / "given.pth")
    assert state["earlier"].training_sources == ("TCGA-18-9999",)


def test_what_was_seen_before_a_run_is_remembered_when_it_is_resumed(finished_run, tmp_path):
    cache = prepare(finished_run.dataset, 64, "nearest", progress=False)
    model, state = load_checkpoint(finished_run.folder / LAST)
    earlier = Seen(("0" * 16,), ("nuinsseg",), ("nuinsseg-00",))
    save_checkpoint(tmp_path / LAST, model, **state | {"earlier": dataclasses.asdict(earlier)})
    assert resume_or_start(tmp_path, RECIPE, cache, split_tiles(cache, 0), None)["earlier"] == earlier
    seen = cache.tile_digests[split_tiles(cache, 0).validation].tolist()
    del state["earlier"]  # as checkpoints were before names travelled
    save_checkpoint(tmp_path / LAST, model, **state, earlier_tiles=seen)
    with pytest.raises(InputError, match="4 by their pixels"):
        resume_or_start(tmp_path, RECIPE, cache, split_tiles(cache, 0), None)


# Runs that learn kinds.

EVERYTHING = dataclasses.replace(RECIPE, network="lite0", outputs=OUTPUTS)


@pytest.mark.parametrize(
    ("change", "found"),
    [({"annotated": np.zeros((24, 2), bool)}, "none"), ({"kinds": ("a",) * 5}, "a")],
)
def test_kinds_cannot_be_learnt_where_there_are_not_two(finished_run, tmp_path, change, found):
    cache = prepare(finished_run.dataset, 64, "nearest", progress=False)
    changed = dataclasses.replace(cache, **change)
    with pytest.raises(
        InputError, match=f"slides: expected nuclei of at least two kinds to tell apart, found {found}; "
    ):
        resume_or_start(tmp_path / "run", EVERYTHING, changed, split_tiles(cache, 0), None)
    without = dataclasses.replace(EVERYTHING, outputs=("nuclei", "interior"))
    state = resume_or_start(tmp_path / "run", without, changed, split_tiles(cache, 0), None)
    assert (state["model"].outputs, state["model"].kinds) == (("nuclei", "interior"), ())


@pytest.mark.parametrize(
    ("outputs", "kinds", "found"),
    [
        (("nuclei",), (), "nuclei"),
        (("nuclei", "kinds"), CLASS_NAMES, f"nuclei, kinds ({', '.join(CLASS_NAMES)})"),
        (OUTPUTS, ("a", "b"), "nuclei, kinds, interior (a, b)"),
    ],
)
def test_weights_that_tell_something_else_are_refused(finished_run, tmp_path, outputs, kinds, found):
    cache = prepare(finished_run.dataset, 64, "nearest", progress=False)
    given = tmp_path / "given.pth"
    save_checkpoint(given, build_own_network("lite0", outputs, kinds), training_tiles=["0" * 16])
    with pytest.raises(InputError) as caught:
        resume_or_start(tmp_path / "run", EVERYTHING, cache, split_tiles(cache, 0), given)
    wanted = f"nuclei, kinds, interior ({', '.join(CLASS_NAMES)})"
    assert str(caught.value) == (
        f"{given}: expected weights that tell {wanted}, found some that tell {found}; give others, or none, and a new "
        "folder"
    )
    save_checkpoint(given, build_own_network("lite0", OUTPUTS, CLASS_NAMES), training_tiles=["0" * 16])
    assert resume_or_start(tmp_path / "run", EVERYTHING, cache, split_tiles(cache, 0), given)["model"].kinds


def test_a_run_goes_on_with_the_kinds_that_it_began_with(finished_run, tmp_path):
    cache = prepare(finished_run.dataset, 64, "nearest", progress=False)
    split = split_tiles(cache, 0)
    state = resume_or_start(tmp_path / "new", EVERYTHING, cache, split, None)
    (tmp_path / "run").mkdir()
    about = {name: state[name] for name in ("encoder_start", "halved", "identity")}
    about |= {"history": [{"epoch": 1, "val_dice": 0.5}], "earlier": dataclasses.asdict(state["earlier"])}
    save_checkpoint(tmp_path / "run" / LAST, state["model"], **about)
    resume_or_start(tmp_path / "run", EVERYTHING, cache, split, None)
    renamed = dataclasses.replace(cache, kinds=("a", *CLASS_NAMES[1:]))  # which the digest does not tell
    with pytest.raises(
        InputError, match=r"last\.pth: expected weights that tell .* \(a, .*\), found .* \(Neoplastic, "
    ):
        resume_or_start(tmp_path / "run", EVERYTHING, renamed, split, None)
