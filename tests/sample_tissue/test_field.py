"""A painted field: the same from the same seed, nuclei that stand out, textures and optics with known answers."""

import numpy as np
import pytest

from helpers.sample_tissue.cells import Canvas
from helpers.sample_tissue.field import BARE_KINDS, cell_borders, develop, paint_field, random_look, smooth_noise
from helpers.sample_tissue.tissue import FIELD_SIZE, TISSUES
from helpers.stain import separate_stains

QUARTER = np.s_[FIELD_SIZE // 2 :, FIELD_SIZE // 2 :]


@pytest.fixture(scope="module")
def fields() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """One field of each tissue."""
    return {name: paint_field(np.random.RandomState(5), name) for name in TISSUES}


def test_shapes_and_types(fields):
    for image, instances in fields.values():
        assert (image.shape, image.dtype) == ((FIELD_SIZE, FIELD_SIZE, 3), np.uint8)
        assert (instances.shape, instances.dtype) == ((FIELD_SIZE, FIELD_SIZE, 5), np.uint16)


def test_the_same_seed_paints_the_same_field(fields):
    image, instances = paint_field(np.random.RandomState(5), "Colon")
    np.testing.assert_array_equal(image, fields["Colon"][0])
    np.testing.assert_array_equal(instances, fields["Colon"][1])


def test_nuclei_hold_more_haematoxylin_than_the_rest(fields):
    for image, instances in fields.values():
        haematoxylin, nuclei = separate_stains(image)[..., 0], instances.max(axis=-1) > 0
        assert haematoxylin[nuclei].mean() > haematoxylin[~nuclei].mean() + 0.15
        assert 0.1 < nuclei.mean() < 0.45


def test_ids_belong_to_one_class_and_no_pixel_to_two(fields):
    for _, instances in fields.values():
        ids = [set(np.unique(instances[..., channel])) - {0} for channel in range(5)]
        assert sum(map(len, ids)) == len(set.union(*ids))
        assert ((instances > 0).sum(axis=-1) <= 1).all()


def test_pixels_of_one_pair_may_be_shared():
    plain, shared = (paint_field(np.random.RandomState(6), "Colon", share_pixels=share)[1] for share in (False, True))
    twice = (shared > 0).sum(axis=-1) == 2
    assert 0 < twice.sum() < 100
    np.testing.assert_array_equal(plain[~twice], shared[~twice])
    assert len(np.unique(shared[twice], axis=0)) == 1  # one pair of nuclei


@pytest.mark.parametrize("kind", BARE_KINDS)
def test_bare_quarters_show_what_they_say(kind):
    image, instances = paint_field(np.random.RandomState(7), "Breast", bare=kind)
    assert not instances[QUARTER].any()
    assert instances.any()
    white = (image[QUARTER].min(axis=-1) > 200).mean()
    assert white < 0.2 if kind == "collagen" else white > 0.25


def test_noise_has_the_scale_that_was_asked_for():
    noise = smooth_noise(np.random.RandomState(0), 32)
    assert (noise.shape, noise.dtype) == ((FIELD_SIZE, FIELD_SIZE), np.float32)
    assert abs(noise.mean()) < 0.15
    assert np.abs(noise).max() < 1.5
    assert np.abs(np.diff(noise, axis=0)).max() < 4 / 32


def test_borders_lie_halfway_between_cells():
    borders = cell_borders([(100.0, 100.0), (100.0, 140.0)], reach=44.0)
    assert borders[100, 120] == pytest.approx(1.0)
    assert borders[100, 118] == pytest.approx(0.0)  # 18 against 22 pixels: 4 off
    assert borders[100, 119] == pytest.approx(0.5)  # 19 against 21
    assert borders[400, 400] == 0


def test_an_empty_slide_is_bright_and_a_stained_one_is_not():
    look, nothing = random_look(np.random.RandomState(0)), np.zeros((FIELD_SIZE, FIELD_SIZE), np.float32)
    owners = np.zeros((FIELD_SIZE, FIELD_SIZE), np.int32)
    glass = develop(np.random.RandomState(0), Canvas(nothing, nothing, owners, nothing), look)
    blue = develop(np.random.RandomState(0), Canvas(nothing + 0.8, nothing, owners, nothing), look)
    assert glass.mean() > 190
    assert (blue.mean(axis=(0, 1)) < 0.75 * glass.mean(axis=(0, 1))).all()
    assert blue[..., 2].mean() > blue[..., 0].mean()  # haematoxylin is blue


def test_looks_differ_and_vectors_have_length_one():
    first, second = (random_look(np.random.RandomState(seed)) for seed in (0, 1))
    assert not np.allclose(first.vectors, second.vectors)
    np.testing.assert_allclose(np.linalg.norm(first.vectors, axis=1), 1.0)
