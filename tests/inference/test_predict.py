"""Predicting on any image: size, scale, seams and refusals."""

import copy
import dataclasses

import numpy as np
import pytest
from colour_networks import Darkness, Tissue, discs, paint
from scipy.special import expit, logit

import helpers
from helpers.data.fold import find_folds
from helpers.errors import InputError
from helpers.evaluation.whole_images import read_tiles, stitch_tiles
from helpers.inference import trained_model
from helpers.inference.predict import predict
from helpers.inference.trained_model import TrainedModel
from helpers.instance_metrics import match_instances
from helpers.metrics import count_pixels, dice_per_image
from helpers.sample_tissue.sample import sample_field


@pytest.fixture
def model() -> TrainedModel:
    return TrainedModel(Darkness(), um_per_px=0.25, attention="occlusion")


@pytest.mark.parametrize("shape", [(64, 64), (200, 131), (1, 1), (10, 300), (65, 63), (63, 1)])
def test_every_size_comes_back_at_that_size(model, shape):
    truth = discs(*shape)
    nuclei = predict(paint(truth), 0.25, model=model)
    assert (nuclei.probability.shape, nuclei.probability.dtype) == (shape, np.float32)
    assert (nuclei.mask.shape, nuclei.mask.dtype) == (shape, bool)
    np.testing.assert_array_equal(nuclei.mask, truth)  # no seam, no frame, nothing moved
    np.testing.assert_array_equal(nuclei.mask, nuclei.probability >= 0.5)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.mark.parametrize("um_per_px", [0.125, 0.2, 0.5])
def test_the_image_goes_to_the_models_scale_and_back(model, um_per_px):
    truth = discs(240, 320)
    nuclei = predict(paint(truth), um_per_px, model)
    assert nuclei.mask.shape == truth.shape
    assert dice(nuclei.mask, truth) > 0.94
    per_side = [np.ceil(max(0, side * um_per_px / 0.25 - 64) / 48) + 1 for side in truth.shape]
    assert model.network.tiles == np.prod(per_side)  # so many tiles of 64 at the model's scale


def test_threshold_is_the_models(model):
    image = np.linspace(9, 255, 64).astype(np.uint8)[:, None, None].repeat(64, 1).repeat(3, 2)
    strict = dataclasses.replace(model, threshold_logit=2.0)
    lenient, strict = predict(image, 0.25, model=model), predict(image, 0.25, model=strict)
    assert 0 < strict.mask.sum() < lenient.mask.sum()
    np.testing.assert_array_equal(strict.mask, lenient.probability >= expit(2.0))


def test_temperature_moves_probabilities_and_no_pixel(model):
    image = np.linspace(9, 255, 64).astype(np.uint8)[:, None, None].repeat(64, 1).repeat(3, 2)
    model = dataclasses.replace(model, threshold_logit=1.0)
    plain, tempered = (
        predict(image, 0.25, model=model),
        predict(image, 0.25, model=dataclasses.replace(model, temperature=2.0)),
    )
    np.testing.assert_array_equal(plain.mask, tempered.mask)
    # Close to 1, single precision leaves a probability few digits to find its logit by.
    np.testing.assert_allclose(tempered.probability, expit(logit(plain.probability.astype(float)) / 2), atol=1e-3)
    assert np.abs(tempered.probability - plain.probability).max() > 0.1


def test_flips_and_turns_are_undone(model):
    truth = discs(90, 150)
    once, averaged = (
        predict(paint(truth), 0.25, model=model),
        predict(paint(truth), 0.25, model=model, flips_and_turns=True),
    )
    np.testing.assert_allclose(averaged.probability, once.probability, atol=1e-3)


def test_a_blank_image(model):
    nuclei = predict(np.full((100, 100, 3), 255, np.uint8), 0.25, model=model)
    assert np.isfinite(nuclei.probability).all()
    assert not nuclei.mask.any()


def test_what_is_no_image_or_scale_is_refused(model):
    with pytest.raises(InputError, match="expected an RGB array"):
        predict(np.zeros((8, 8), np.uint8), 0.25, model=model)
    with pytest.raises(InputError, match="um_per_px: expected 0.1 to 1.0"):
        predict(np.zeros((8, 8, 3), np.uint8), True, model)


def test_a_scale_as_text_is_the_scale(model):
    image = paint(discs(90, 120))
    expected = predict(image, 0.5, model)
    for um_per_px in ("0.5", np.float32(0.5), np.array(0.5)):
        np.testing.assert_array_equal(predict(image, um_per_px, model).probability, expected.probability)


# What is no tissue.


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("um_per_px", [0.2, 0.25])
def test_beyond_the_edge_there_are_no_nuclei_and_beside_it_all_stays(model, um_per_px, alpha):
    truth = discs(120, 160)
    whole = cut = paint(truth)
    if alpha:
        cut = np.dstack([whole, np.full(truth.shape, 255, np.uint8)])
    cut = cut.copy()
    cut[:, :30] = 0
    with pytest.warns(UserWarning, match=r"^image: 4,080 of 19,200 pixels are black or transparent") as warned:
        nuclei = predict(cut, um_per_px, model)
    assert len(warned) == 1
    assert not nuclei.mask[:, :34].any()
    assert not nuclei.probability[:, :34].any()
    np.testing.assert_array_equal(nuclei.mask[:, 46:], predict(whole, um_per_px, model).mask[:, 46:])


def test_all_black_needs_no_network(model):
    with pytest.warns(UserWarning, match="10,000 of 10,000 pixels are black"):
        nuclei = predict(np.zeros((100, 100, 3), np.uint8), 0.25, model=dataclasses.replace(model, network=None))
    assert not nuclei.mask.any()
    assert not nuclei.probability.any()


def test_swapped_colours_are_said_once_for_all_tiles_and_symmetries():
    image = sample_field(0)[0][:256, :256]
    model = TrainedModel(Darkness(), um_per_px=0.25)
    with pytest.warns(UserWarning, match="^image: red and blue seem to be swapped") as warned:
        predict(image[..., ::-1], 0.25, model=model, flips_and_turns=True)
    assert len(warned) == 1
    assert warned[0].filename == __file__  # it points at the call


def test_real_tissue_beside_black_is_found_as_without_it(real_dataset):
    tiles = np.load(real_dataset / "Images" / "images.npy", mmap_mode="r")
    hits = sizes = 0
    for index in np.linspace(0, len(tiles) - 1, 4).astype(int):
        whole = np.array(tiles[index], np.uint8)
        cut = whole.copy()
        cut[:, :128] = 0
        with pytest.warns(UserWarning, match="are black or transparent"):
            found = predict(cut, 0.25).mask[:, 144:]
        expected = predict(whole, 0.25).mask[:, 144:]
        hits, sizes = hits + (found & expected).sum(), sizes + found.sum() + expected.sum()
    assert 2 * hits / sizes > 0.95  # 0.43 without filling, 0.987 over 22 tiles with it


def test_a_path_in_place_of_a_model_is_refused():
    with pytest.raises(InputError, match=r"expected what `helpers.load_model\(PATH\)` gives, found str"):
        predict(np.zeros((8, 8, 3), np.uint8), 0.25, model="tuned.safetensors")


def test_the_package_offers_it():
    assert helpers.predict is predict
    assert helpers.load_model is trained_model.load_model
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        helpers.nonsense  # noqa: B018


def test_the_shipped_model_finds_sample_nuclei_and_leaves_glass_alone():
    if not trained_model.WEIGHTS.exists():
        pytest.skip("no weights are shipped yet")
    model = trained_model.load_model()
    glass = predict(np.full((256, 256, 3), 240, np.uint8), 0.25, model=model)
    assert glass.mask.mean() < 0.01
    assert predict(np.full((256, 256, 3), 240, np.uint8), 0.25).mask.sum() == glass.mask.sum()
    image, instances, _ = sample_field(0)
    (counts,) = count_pixels(predict(image, 0.25, model=model).mask[None], instances.any(-1)[None])
    assert dice_per_image(counts[None])[0] > 0.7  # painted tissue, which it never saw


# Single nuclei and kinds.


@pytest.mark.parametrize("um_per_px", [0.125, 0.25, 0.5])
def test_every_nucleus_is_told_at_the_images_size_whatever_the_scale(um_per_px):
    image = paint(truth := discs(140, 280, radius=14, step=70))
    image[:, 140:][truth[:, 140:]] = (120, 40, 70)
    found = predict(image, um_per_px, TrainedModel(Tissue(), um_per_px=0.25))
    assert (found.instances.shape, found.instances.dtype) == (truth.shape, np.int32)
    assert found.instances.max() == len(found.nuclei) == 8
    np.testing.assert_array_equal(found.instances > 0, found.mask)
    assert found.nuclei["kind"].tolist() == [*["Blue", "Blue", "Red", "Red"] * 2]
    np.testing.assert_allclose(sorted(set(found.nuclei["x"].round())), [35, 105, 175, 245], atol=1)
    np.testing.assert_allclose(found.nuclei["area_um2"], truth[:70, :70].sum() * um_per_px**2, rtol=0.06)


def test_a_network_of_nuclei_alone_tells_pieces_and_no_kinds(model):
    found = predict(paint(discs(100, 130)), 0.25, model=model)
    assert found.nuclei["kind"].tolist() == [""] * found.instances.max()
    assert len(found.nuclei) == 9  # six whole, three cut by the border


def test_flips_and_turns_are_undone_for_all_outputs():
    image = paint(discs(90, 150))
    model = TrainedModel(Tissue(), um_per_px=0.25)
    once, averaged = predict(image, 0.25, model=model), predict(image, 0.25, model=model, flips_and_turns=True)
    np.testing.assert_array_equal(averaged.instances, once.instances)
    np.testing.assert_array_equal(averaged.nuclei["kind"], once.nuclei["kind"])


def test_no_nuclei_where_there_is_no_tissue():
    image = paint(discs(90, 150))
    image[:, :40] = 0
    with pytest.warns(UserWarning, match="are black or transparent"):
        found = predict(image, 0.25, TrainedModel(Tissue(), um_per_px=0.25))
    assert not found.instances[:, :40].any()
    assert found.nuclei["left"].min() >= 40
    with pytest.warns(UserWarning, match="are black"):
        nothing = predict(np.zeros((50, 70, 3), np.uint8), 0.25, TrainedModel(Tissue(), um_per_px=0.25))
    assert (nothing.instances.shape, len(nothing.nuclei)) == ((50, 70), 0)


def test_with_other_tiles_the_nuclei_are_nearly_the_same(real_dataset):
    fold = find_folds(real_dataset)[0]
    (group,) = (fold.groups[tile] for tile in np.flatnonzero(fold.annotated[:, 1])[:1])
    tiles = np.flatnonzero((fold.groups == group) & (fold.positions <= 248).all(1))  # four, two by two
    image, _ = stitch_tiles(read_tiles([fold], tiles), fold.positions[tiles])
    model = helpers.load_model()
    network = copy.deepcopy(model.network)
    network.img_size = 320
    ours, other = (
        predict(image, 0.25, model=model),
        predict(image, 0.25, model=dataclasses.replace(model, network=network)),
    )
    assert image.shape == (504, 504, 3)
    assert abs(len(ours.nuclei) - len(other.nuclei)) <= 0.03 * len(ours.nuclei)  # 2 % and 0.96 on whole pictures
    assert np.median(match_instances(other.instances, ours.instances).ious) > 0.95
