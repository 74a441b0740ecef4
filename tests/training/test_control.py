"""A control knows a few tiles by heart, each with the mask of another."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_run import RECIPE, make_cache, make_network, read_results

from helpers.config import RECIPES
from helpers.data.cache import Cache
from helpers.errors import InputError
from helpers.sample_tissue.sample import write_sample_fold
from helpers.training.control import NOTE, choose_learnt, control_recipe, control_window, exchange_masks, let_fit
from helpers.training.results import HISTORY
from helpers.training.run import train_run


@pytest.fixture
def cache() -> Cache:
    """Six tiles of 8 pixels; those with an odd number have nuclei along the border alone."""
    class_maps = np.ones((6, 8, 8), np.uint8)
    class_maps[1::2, 2:6, 2:6] = 0
    return dataclasses.replace(make_cache([[1] * 5] * 6, ["Breast"] * 6), image_size=8, class_maps=class_maps)


def test_the_window_is_the_middle_half():
    assert np.arange(64).reshape(8, 8)[control_window(8)].tolist() == [
        [row * 8 + column for column in range(2, 6)] for row in range(2, 6)
    ]


def test_a_control_is_the_same_network_that_nothing_keeps_from_fitting():
    recipe = control_recipe(RECIPES["nuclei"], 16)
    for name in ("network", "outputs", "image_size", "labels", "pretrained", "split_seed"):
        assert getattr(recipe, name) == getattr(RECIPES["nuclei"], name)
    assert (recipe.shuffled_masks, recipe.augmentation, recipe.dropout, recipe.weight_decay) == (16, (), 0, 0)
    with pytest.raises(InputError, match="expected 2 tiles or more that exchange their masks, found 1"):
        control_recipe(RECIPES["nuclei"], 1)


def test_it_learns_training_tiles_with_nuclei_in_the_window(cache):
    train = np.arange(1, 6)
    assert choose_learnt(cache, train, dataclasses.replace(RECIPE, shuffled_masks=2)).tolist() == [2, 4]
    with pytest.raises(InputError, match="expected 3 training tiles with nuclei in the middle, found 2; give fewer"):
        choose_learnt(cache, train, dataclasses.replace(RECIPE, shuffled_masks=3))


@pytest.mark.parametrize("seed", range(5))
def test_every_tile_gets_the_mask_of_another(seed):
    tiles = np.array([1, 4, 6, 7])
    masks_of = exchange_masks(tiles, 9, seed)
    assert sorted(masks_of[tiles].tolist()) == tiles.tolist()
    assert (masks_of[tiles] != tiles).all()
    others = np.setdiff1d(np.arange(9), tiles)
    assert masks_of[others].tolist() == others.tolist()


def test_a_network_that_may_fit_gives_the_same_twice_and_follows_its_batches():
    model, images = make_network(), torch.randn(4, 3, 64, 64)
    let_fit(model)
    model.dropout.p = 0.0
    with torch.no_grad():
        model.train()
        assert torch.equal(model(images), model(images))
    assert {layer.momentum for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)} == {0.1}


def test_a_run_of_a_control_is_judged_on_the_tiles_that_it_learns(tmp_path):
    dataset = write_sample_fold(tmp_path / "slides", num_tiles=8, dtype="uint8")
    recipe = dataclasses.replace(control_recipe(RECIPE, 2), epochs=2)
    train_run(dataset, tmp_path / "run", recipe, device=torch.device("cpu"), log=lambda line: None)
    results = read_results(tmp_path / "run")
    assert (results["data"]["train_tiles"], results["data"]["validation_tiles"]) == (2, 2)
    assert results["data"]["note"] == NOTE
    first, last = (row["val_loss"] for row in pd.read_csv(tmp_path / "run" / HISTORY).to_dict("records"))
    assert last < first  # of masks that say nothing of these tiles
