"""Examples are chosen by rule: best, median, worst; one tile a tissue; one question for all networks."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import logit
from tiny_run import make_cache, make_network

from helpers.config import CLASS_NAMES, RECIPES
from helpers.data.masks import class_maps_from_masks, number_instances
from helpers.data.prepare import prepare
from helpers.data.split import Split
from helpers.explanation.grad_cam import attention_layers, grad_cam, predicted_region
from helpers.normalization import denormalize, normalize
from helpers.report import examples
from helpers.report.examples import (
    attention_maps,
    augmented_views,
    one_tile_per_tissue,
    rank_examples,
    ranked_examples,
    region_maps,
    show_worst,
    true_nuclei,
)
from helpers.training.loaders import make_loaders, start_epoch


def counts(*dice: float | None) -> np.ndarray:
    """Give counts of images with a nucleus of 100 pixels and the given Dice; None for an image without one."""
    rows = []
    for value in dice:
        found = None if value is None else round(100 * value)
        rows.append((0, 0, 0, 1000) if found is None else (found, 100 - found, 100 - found, 800))
    return np.array(rows)


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ((0.5, 0.9, 0.1, 0.7, 0.3), {"best": 1, "median": 0, "worst": 2}),
        ((0.5, 0.9, 0.1, 0.7), {"best": 1, "median": 3, "worst": 2}),  # of two in the middle, the better
        ((0.4,), {"best": 0, "median": 0, "worst": 0}),
        ((0.4, 0.6), {"best": 1, "median": 1, "worst": 0}),
        ((0.5, 0.5, 0.5), {"best": 2, "median": 1, "worst": 0}),  # equals stay in their order
        ((0.0, 1.0, 0.0), {"best": 1, "median": 2, "worst": 0}),
    ],
)
def test_best_median_and_worst(dice, expected):
    assert rank_examples(counts(*dice)) == expected


def test_images_without_nuclei_do_not_compete():
    ranked = rank_examples(counts(None, 0.5, None, 0.8, 0.2, None))
    assert ranked == {"best": 3, "median": 1, "worst": 4}


def test_an_invented_nucleus_does_not_make_the_worst():
    rows = np.vstack([counts(0.5, 0.8), [[0, 50, 0, 950]]])
    assert rank_examples(rows) == {"best": 1, "median": 1, "worst": 0}


def test_no_image_has_nuclei():
    assert rank_examples(counts(None, None)) == {}


@pytest.fixture
def cache():
    """Four tiles of 64 x 64: a known nucleus in all but the third."""
    made = make_cache([[1, 0, 0, 0, 0]] * 4, ["Skin"] * 4)
    class_maps = np.zeros((4, 64, 64), np.uint8)
    class_maps[[0, 1, 3], 20:40, 20:40] = 2
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    return dataclasses.replace(made, image_size=64, images=images, class_maps=class_maps)


def test_examples_hold_what_was_predicted(cache, monkeypatch):
    # Tile 0 is found wholly, tile 1 not at all, tile 3 by half; tile 2 is empty.
    known = np.zeros((4, 64, 64), np.float32)
    known[0, 20:40, 20:40] = 0.9
    known[3, 20:40, 20:30] = 0.5
    order = []

    def predict(model, images, device):
        order.extend(next(row for row in range(4) if np.array_equal(cache.images[row], image)) for image in images)
        return logit(known[order])

    monkeypatch.setattr(examples, "predict_tiles", predict)
    found = ranked_examples(None, cache, np.array([3, 2, 1, 0]))
    assert order == [3, 2, 1, 0]
    assert [example.title for example in found] == ["best, Dice 1.000", "median, Dice 0.667", "worst, Dice 0.000"]
    for example, tile in zip(found, (0, 3, 1), strict=True):
        np.testing.assert_array_equal(example.image, cache.images[tile])
        np.testing.assert_array_equal(example.truth, cache.class_maps[tile] > 0)
        np.testing.assert_allclose(example.probability, known[tile], rtol=1e-6)


def test_examples_of_the_network(cache):
    found = ranked_examples(make_network(), cache, np.array([0, 1, 2]))
    assert [example.title.split(",")[0] for example in found] == ["best", "median", "worst"]
    assert all(example.probability.shape == (64, 64) and example.truth.dtype == bool for example in found)


def test_no_examples_without_nuclei(cache):
    assert ranked_examples(make_network(), cache, np.array([2])) == []


def test_tile_of_the_median_number_of_nuclei_for_each_tissue():
    nuclei = [[number, 1, 0, 0, 0] for number in (5, 1, 9, 4, 2, 7)]
    cache = make_cache(nuclei, ["Skin", "Skin", "Skin", "Colon", "Colon", "Breast"])
    found = one_tile_per_tissue(cache, np.arange(6))
    assert found.dtype == np.int64
    assert found.tolist() == [0, 3, 5]  # Skin, Colon (of two the fuller), Breast: those with most tiles first


def test_only_the_given_tiles_are_chosen_from():
    cache = make_cache([[number, 0, 0, 0, 0] for number in range(6)], ["Skin", "Colon"] * 3)
    assert one_tile_per_tissue(cache, np.array([0, 2, 5])).tolist() == [2, 5]
    assert one_tile_per_tissue(cache, np.array([4])).tolist() == [4]


def test_no_more_than_so_many_tissues():
    cache = make_cache([[1, 0, 0, 0, 0]] * 7, list("gfedcba"))
    assert one_tile_per_tissue(cache, np.arange(7)).tolist() == [6, 5, 4, 3, 2]
    assert one_tile_per_tissue(cache, np.arange(7), most=2).tolist() == [6, 5]


# Attention.


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)


def test_every_network_is_asked_about_the_nuclei_that_the_first_one_predicts(image):
    first, second = make_network(), make_network()
    with torch.no_grad():
        second.head.weight.neg_()  # what is nucleus to one is background to the other
        second.head.bias.neg_()
        tensor = normalize(image[None])
        region = first(tensor)[0, 0].sigmoid() >= 0.5
    assert 0 < region.sum() < region.numel()
    maps = attention_maps({"trained": first, "control": second}, image)
    assert list(maps) == ["trained", "control"]
    for title, network in (("trained", first), ("control", second)):
        expected = grad_cam(network, tensor, network.decoder[2], region).numpy()
        found = maps[title]["decoder 2"]
        assert (found.shape, found.dtype) == ((64, 64), np.float32)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    own = grad_cam(second, tensor, second.decoder[2]).numpy()
    assert not np.allclose(maps["control"]["decoder 2"], own, atol=1e-3)


def test_all_layers(image):
    network = make_network()
    (heats,) = attention_maps({"trained": network}, image).values()
    assert list(heats) == list(attention_layers(network))
    assert all(heat.min() >= 0 and heat.max() <= 1 for heat in heats.values())


def test_several_methods_have_rows_of_their_own(image):
    maps = attention_maps({"trained": make_network()}, image, ("Grad-CAM", "Grad-CAM++"))
    assert list(maps) == ["Grad-CAM\ntrained", "Grad-CAM++\ntrained"]
    np.testing.assert_array_equal(
        maps["Grad-CAM\ntrained"]["decoder 1"],
        attention_maps({"trained": make_network()}, image)["trained"]["decoder 1"],
    )


def test_each_region_is_asked_by_every_method(image):
    network = make_network()
    maps = region_maps(network, image)
    assert list(maps) == ["one nucleus", "all nuclei", "background"]
    tensor = normalize(image[None])
    region = predicted_region(network, tensor)
    for name, where, against in (("all nuclei", region, False), ("background", ~region, True)):
        for method in ("Grad-CAM", "Grad-CAM++"):
            expected = grad_cam(network, tensor, network.decoder[3], where, method, against)
            np.testing.assert_allclose(maps[name][f"{method}, decoder 1"], expected.numpy(), atol=1e-5)
        assert maps[name]["occlusion"].shape == (64, 64)


def test_the_worst_tiles_come_with_their_causes(finished_run):
    cache = prepare(finished_run.dataset, 64, "majority", progress=False)
    worst = [{"tile": 3, "dice": 0.125, "causes": ["blur", "crowding"]}, {"tile": 1, "dice": 0.25, "causes": []}]
    first, second = show_worst(make_network(), cache, worst)
    assert (first.title, second.title) == ("Dice 0.125\nblur, crowding", "Dice 0.250\nnone of these causes")
    np.testing.assert_array_equal(first.image, cache.images[3])
    np.testing.assert_array_equal(second.truth, cache.class_maps[1] > 0)


def test_a_network_that_predicts_nothing_looks_nowhere(image):
    network = make_network()
    with torch.no_grad():
        network.head.bias.fill_(-100)
    (heats,) = attention_maps({"trained": network}, image).values()
    assert not any(heat.any() for heat in heats.values())


def test_an_image_that_may_only_be_read(image):
    image.flags.writeable = False
    assert attention_maps({"trained": make_network()}, image)["trained"]["decoder 4"].shape == (64, 64)


def test_augmented_views_are_those_of_training(finished_run):
    cache = prepare(finished_run.dataset, 64, "majority", progress=False)
    recipe = dataclasses.replace(RECIPES["strong"], seed=3, image_size=64)
    views = augmented_views(cache, 5, recipe, 4)
    np.testing.assert_array_equal(views[0][0], cache.images[5])
    np.testing.assert_array_equal(views[0][1], cache.class_maps[5] > 0)
    loader, _ = make_loaders(cache, Split("made", "", np.array([5]), np.array([6])), recipe)
    for epoch, (image, mask) in enumerate(views[1:], 1):
        start_epoch(loader, epoch)
        ((images, masks),) = list(loader)
        np.testing.assert_array_equal(image, denormalize(images)[0])
        np.testing.assert_array_equal(mask, masks[0, 0].numpy() > 0)
    assert not np.array_equal(views[1][0], views[2][0])


def test_true_nuclei_are_numbered_from_one_and_named_by_their_channel():
    masks = np.zeros((1, 1, 4, 6), int)
    masks[0, 0, 1, 4] = masks[0, 0, 2, 1] = 7  # one number in two channels: two nuclei
    numbers = number_instances(masks, class_maps_from_masks(masks))[0]
    labels, kinds = true_nuclei(numbers, CLASS_NAMES)
    assert labels.shape == numbers.shape
    assert [kinds[label - 1] for label in labels[0, 1:3]] == ["Epithelial", "Inflammatory"]
    assert labels[0, 0] == labels[0, 3] == 0
    assert true_nuclei(numbers)[1] == ["", ""]
    assert true_nuclei(np.zeros((2, 2), int))[1] == []
    everywhere, kinds = true_nuclei(np.full((2, 2), 9), CLASS_NAMES)  # no background at all
    assert (everywhere == 1).all()
    assert len(kinds) == 1
