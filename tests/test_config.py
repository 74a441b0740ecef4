"""The recipes: the course report's numbers stay the course report's."""

import dataclasses
import json

import pytest

from helpers import config
from helpers.config import RECIPES, Recipe
from helpers.errors import InputError

REPORT = {
    "image_size": 128,
    "labels": "nearest",
    "epochs": 20,
    "batch_size": 4,
    "accumulation_steps": 8,
    "learning_rate": 1e-4,
    "weight_decay": 1e-4,
    "bce_weight": 1.0,
    "dice_weight": 1.0,
    "dropout": 0.2,
    "plateau_factor": 0.5,
    "plateau_patience": 5,
    "early_stopping_patience": 5,
    "stop_early": True,
    "pretrained": True,
}


def test_report_recipe_is_the_report():
    recipe = dataclasses.asdict(RECIPES["report"])
    assert {name: recipe[name] for name in REPORT} == REPORT
    assert recipe["batch_size"] * recipe["accumulation_steps"] == 32


def test_recipes_are_known_by_their_names():
    assert "quick" in RECIPES
    assert all(recipe.name == name for name, recipe in RECIPES.items())


def test_quick_recipe_needs_no_network():
    assert not RECIPES["quick"].pretrained


def test_recipes_are_values():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECIPES["report"].epochs = 50
    assert Recipe("report") == RECIPES["report"]
    assert dataclasses.replace(RECIPES["report"], seed=1) != RECIPES["report"]


def test_preprocessing_is_pannukes_and_imagenets():
    assert config.CLASS_NAMES == ("Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial")
    assert len(config.CLASS_NAMES) == config.BACKGROUND_CHANNEL  # the channel after the classes, counted from 0
    assert (config.TILE_SIZE, config.TILE_UM_PER_PX, config.THRESHOLD) == (256, 0.25, 0.5)
    assert config.IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert config.IMAGENET_STD == (0.229, 0.224, 0.225)


def test_official_splits_use_each_fold_once():
    assert config.OFFICIAL_SPLITS == {1: (1, 2, 3), 2: (2, 1, 3), 3: (3, 2, 1)}


@pytest.mark.parametrize("outputs", [("nuclei",), ["nuclei", "interior"], ("nuclei", "interior", "kinds")])
def test_outputs_begin_with_nuclei_and_come_back_from_json(outputs):
    recipe = Recipe("mine", outputs=outputs)
    assert recipe.outputs == tuple(outputs)
    assert Recipe(**json.loads(json.dumps(dataclasses.asdict(recipe)))).outputs == recipe.outputs


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ((), "none"),
        (("kinds",), "kinds"),
        (("kinds", "nuclei"), "kinds, nuclei"),
        (("nuclei", "depth"), "nuclei, depth"),
        (("nuclei", "kinds", "kinds"), "nuclei, kinds, kinds"),
        ("nuclei", "n, u, c, l, e, i"),
    ],
)
def test_other_outputs_are_refused(outputs, found):
    with pytest.raises(InputError) as caught:
        Recipe("mine", outputs=outputs)
    assert str(caught.value) == (
        f"recipe 'mine': outputs {found}, expected nuclei first, then any of nuclei, kinds, interior"
    )
