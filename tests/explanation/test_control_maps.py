"""Maps beside those of a control."""

import dataclasses

import numpy as np
import pytest
from tiny_run import FinishedRun, change_results, make_cache, make_network, read_results

from helpers.config import Recipe
from helpers.data.cache import Cache
from helpers.errors import InputError
from helpers.explanation.control_maps import compare_control, describe_control, load_control
from helpers.explanation.faithfulness import LEARNT, OCCLUSION, SHUFFLED
from helpers.training.comparisons import build_network
from helpers.training.results import BEST


@pytest.fixture(scope="module")
def cache() -> Cache:
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    return dataclasses.replace(make_cache([[1] * 5] * 4, ["Breast"] * 4), image_size=64, images=images)


def test_a_network_is_like_itself_wherever_it_is_compared(cache):
    network = make_network()
    compared = compare_control(network, network, cache, np.arange(3), np.array([3]), most=2)
    assert {where: told["n"] for where, told in compared[OCCLUSION].items()} == {SHUFFLED: 2, LEARNT: 1}
    fine = [networks for name, networks in compared.items() if "encoder" not in name]  # which is one cell of 32 pixels
    means = [told["mean"] for networks in fine for told in networks.values() if told["n"]]
    np.testing.assert_allclose(means, 1, atol=1e-3)


def test_another_network_is_not_like_it(cache):
    compared = compare_control(make_network(), build_network("unet", 64).eval(), cache, np.arange(2))
    assert set(compared["Grad-CAM, decoder 1"]) == {SHUFFLED}  # what it learnt is not known
    assert abs(compared["Grad-CAM, decoder 1"][SHUFFLED]["mean"]) < 0.9


def test_what_is_kept_of_a_control(explained_run):
    results = read_results(explained_run.parent / "control")
    told = describe_control(results)
    assert (told["tiles"], told["size"], told["epochs"]) == (results["data"]["validation_tiles"], 32, 8)
    assert told["dice"] == results["training"]["best"]["val_dice"]
    assert told["start"] == "random"


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("data", {"digest": "0" * 64}, "expected a control of the run's data set, .*found 000000000000"),
        ("recipe", {"image_size": 128}, "expected a control of the run's size, 64, found 128"),
        ("recipe", {"split_seed": 3}, "expected a control of the run's split seed, 0, found 3"),
        ("recipe", {"shuffled_masks": 0}, "expected a control, trained with `--shuffled-masks`"),
    ],
)
def test_a_control_of_something_else_is_refused(explained_run, tmp_path, part, values, message):
    control = FinishedRun(explained_run, explained_run.parent / "control").copy(tmp_path / "control")
    run = read_results(explained_run)
    load_control(control / BEST, Recipe(**run["recipe"]), run["data"])
    change_results(control, **{part: values})
    with pytest.raises(InputError, match=message):
        load_control(control / BEST, Recipe(**run["recipe"]), run["data"])
