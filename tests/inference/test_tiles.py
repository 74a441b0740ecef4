"""From an image to maps at the model's scale, tile by tile."""

import numpy as np
import pytest
from colour_networks import Darkness, Tissue, discs, paint

from helpers.inference.tiles import NOTHING, predict_maps, resize, size_at_scale, tile_places, tile_window
from helpers.inference.trained_model import TrainedModel


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 200), (1000, 70), (10, 30)])
def test_tiles_cover_everything_and_overlap(height, width):
    cover = np.zeros((height, width), int)
    for place in tile_places(height, width, 64):
        cover[place] += 1
        assert cover[place].shape == (min(height, 64), min(width, 64))
    assert cover.min() == 1
    assert tile_window(64, 64).min() == 1


def test_maps_have_the_models_scale_and_every_output():
    model = TrainedModel(Tissue(), um_per_px=0.5)
    maps, outside = predict_maps(model, paint(discs(120, 200)), 0.25)
    assert {name: values.shape for name, values in maps.items()} == {
        "nuclei": (1, 60, 100), "interior": (1, 60, 100), "kinds": (2, 60, 100)
    }  # fmt: skip
    assert outside.shape == (120, 200)
    assert size_at_scale((3, 5), 0.05, model) == (1, 1)


def test_only_wanted_tiles_are_looked_at():
    image, network = paint(discs(64, 400)), Darkness()
    model = TrainedModel(network, 0.25)
    everything, _ = predict_maps(model, image, 0.25)
    network.tiles, asked = 0, []

    def wanted(top: int, left: int, bottom: int, right: int) -> bool:
        asked.append((top, left, bottom, right))
        return left < 100

    maps, _ = predict_maps(model, image, 0.25, wanted=wanted)
    assert len(asked) == 8
    assert network.tiles == 3 == sum(left < 100 for _, left, _, _ in asked)
    right = max(box[3] for box in asked if box[1] < 100)
    np.testing.assert_allclose(maps["nuclei"][..., :96], everything["nuclei"][..., :96], rtol=1e-5)
    assert (maps["nuclei"][..., right:] == NOTHING).all()
    nothing, _ = predict_maps(model, image, 0.25, wanted=lambda *box: False)
    assert (nothing["nuclei"] == NOTHING).all()


def test_shrinking_takes_means_and_enlarging_keeps_centres():
    np.testing.assert_allclose(resize(np.array([[0.0, 2.0, 4.0, 6.0]], np.float32), 1, 2), [[1, 5]])
    np.testing.assert_allclose(resize(np.array([[0.0, 4.0]], np.float32), 1, 4), [[0, 1, 3, 4]])
