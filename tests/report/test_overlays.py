"""Pictures over tissue: the right pixels in the right colours, every panel on the same footing."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from helpers.explanation.examine import Examination
from helpers.inference.instances import list_nuclei
from helpers.inference.segmentation import Segmentation
from helpers.report.examples import Example
from helpers.report.overlays import (
    ERROR_COLOURS,
    PREDICTION_COLOUR,
    TRUTH_COLOUR,
    draw_contours,
    draw_errors,
    draw_nuclei,
    plot_attention,
    plot_examination,
    plot_nuclei,
    plot_predictions,
    plot_preprocessing,
    plot_segmentation,
    plot_tiles,
    plot_views,
)
from helpers.saving.colours import CLASS_COLOURS, KIND_COLOURS

MISSED, INVENTED = ERROR_COLOURS.values()


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def image() -> np.ndarray:
    """Pink noise, bright enough not to hold any colour that is drawn."""
    return np.random.default_rng(0).integers(180, 250, (40, 40, 3), np.uint8)


def square(top: int, bottom: int, size: int = 40) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top:bottom, top:bottom] = True
    return mask


def rim(mask: np.ndarray) -> np.ndarray:
    """Give the pixels of a square that have a neighbour outside, by their four sides."""
    inside = mask.copy()
    for axis in (0, 1):
        for step in (1, -1):
            inside &= np.roll(mask, step, axis)
    return mask & ~inside


def shown(axis) -> np.ndarray:
    """Give what the last picture of a panel shows."""
    return np.asarray(axis.images[-1].get_array())


def drawn(figure) -> np.ndarray:
    """Draw a figure, for what only warns or fails then."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def grid(figure, rows: int, columns: int) -> np.ndarray:
    """Give the panels; a colour bar may follow them."""
    return np.array(figure.axes[: rows * columns]).reshape(rows, columns)


def titles(panels: np.ndarray) -> list[str]:
    return [panel.get_title() for panel in panels[0]]


def legend(figure) -> list[str]:
    return [text.get_text() for entry in figure.legends for text in entry.get_texts()]


# Outlines and errors.


def test_outline_is_the_rim_of_the_mask(image):
    mask = square(10, 20)
    found = draw_contours(image, mask, (1, 2, 3))
    assert (found[rim(mask)] == (1, 2, 3)).all()
    np.testing.assert_array_equal(found[~rim(mask)], image[~rim(mask)])


def test_every_nucleus_gets_its_outline(image):
    found = draw_contours(image, square(2, 6) | square(20, 30), (1, 2, 3))
    np.testing.assert_array_equal((found == (1, 2, 3)).all(-1), rim(square(2, 6)) | rim(square(20, 30)))


def test_wider_outline(image):
    changed = (draw_contours(image, square(10, 20), (0, 0, 0), 2) != image).any(-1)
    assert changed.sum() > rim(square(10, 20)).sum()
    assert not changed[13:17, 13:17].any()


def test_drawing_leaves_its_input_alone(image):
    mask, before = square(10, 20), image.copy()
    image.flags.writeable = mask.flags.writeable = False  # as the cache's arrays are
    draw_contours(image, mask, (0, 0, 0))
    draw_errors(image, mask, ~mask)
    np.testing.assert_array_equal(image, before)


def test_a_view_of_other_memory_can_be_drawn_on(image):
    turned = image.transpose(1, 0, 2)[::-1]
    found = draw_contours(turned, square(10, 20), (1, 2, 3))
    np.testing.assert_array_equal((found == (1, 2, 3)).all(-1), rim(square(10, 20)))


def test_empty_mask_has_no_outline(image):
    np.testing.assert_array_equal(draw_contours(image, np.zeros((40, 40), bool), (0, 0, 0)), image)


def test_errors_stand_at_their_pixels(image):
    truth, predicted = square(10, 20), square(15, 30)
    found = draw_errors(image, truth, predicted)
    assert (found.shape, found.dtype) == ((40, 40, 3), np.uint8)
    np.testing.assert_array_equal((found == MISSED).all(-1), truth & ~predicted)
    np.testing.assert_array_equal((found == INVENTED).all(-1), predicted & ~truth)
    grey = found[~(truth ^ predicted)]
    assert (grey == grey[:, :1]).all()
    weights = image @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(grey[:, 0], weights[~(truth ^ predicted)], atol=1)


@pytest.mark.parametrize("value", [False, True])
def test_nothing_wrong_paints_nothing(image, value):
    mask = np.full((40, 40), value)
    found = draw_errors(image, mask, mask)
    assert (found == found[..., :1]).all()


def test_colours_of_what_is_wrong_and_of_outlines_differ():
    assert len({MISSED, INVENTED, TRUTH_COLOUR, PREDICTION_COLOUR}) == 4


# Tiles.


@pytest.fixture
def class_maps() -> np.ndarray:
    """The first tile holds classes 1 and 5, the second class 3, the third nothing."""
    maps = np.zeros((3, 40, 40), np.uint8)
    maps[0, 5:15, 5:15], maps[0, 20:30, 20:30], maps[1, 8:18, 8:18] = 1, 5, 3
    return maps


def colour_of(name: str) -> tuple[int, ...]:
    return tuple(round(255 * value) for value in to_rgb(CLASS_COLOURS[name]))


def test_tiles_and_their_outlines_in_the_colours_of_the_classes(image, class_maps):
    figure = plot_tiles(np.stack([image] * 3), class_maps, ["a", "b", "c"])
    panels = grid(figure, 2, 3)
    assert len(figure.axes) == 6
    assert titles(panels) == ["a", "b", "c"]
    for panel in panels[0]:
        np.testing.assert_array_equal(shown(panel), image)
    for column, top, name in ((0, 5, "Neoplastic"), (0, 20, "Epithelial"), (1, 8, "Connective")):
        found = (shown(panels[1, column]) == colour_of(name)).all(-1)
        assert found[rim(square(top, top + 10))].all()
        assert not found[:, 33:].any()
    np.testing.assert_array_equal(shown(panels[1, 2]), image)
    assert legend(figure) == ["Neoplastic", "Connective", "Epithelial"]
    handles = figure.legends[0].get_patches()
    assert [handle.get_facecolor()[:3] for handle in handles] == [
        to_rgb(CLASS_COLOURS[name]) for name in legend(figure)
    ]
    drawn(figure)


def test_nuclei_of_no_known_class_have_one_colour(image, class_maps):
    figure = plot_tiles(np.stack([image] * 3), class_maps, ["a", "b", "c"], typed=False)
    assert legend(figure) == ["nuclei"]
    outlined = shown(grid(figure, 2, 3)[1, 0])
    colours = {tuple(pixel) for mask in (square(5, 15), square(20, 30)) for pixel in outlined[rim(mask)].tolist()}
    assert len(colours) == 1


def test_tiles_without_nuclei(image):
    figure = plot_tiles(np.full((1, 40, 40, 3), 255, np.uint8), np.zeros((1, 40, 40), np.uint8), ["glass"])
    assert legend(figure) == []
    drawn(figure)


def test_one_title_for_each_tile(image, class_maps):
    with pytest.raises(ValueError, match="shorter"):
        plot_tiles(np.stack([image] * 3), class_maps, ["a", "b"])


# Preprocessing.


def test_preprocessing_shows_the_same_window_at_every_size():
    image, labels = np.full((256, 256, 3), 200, np.uint8), np.zeros((256, 256), np.uint8)
    labels[110:140, 110:140] = 2
    small, small_labels = image[::2, ::2], labels[::2, ::2]
    steps = {"full": (image, labels), "half": (small, small_labels)}
    figure = plot_preprocessing(image, steps, zoom=64)
    full, half = figure.axes
    assert [full.get_title(), half.get_title()] == ["full", "half"]
    # Sixty-four pixels around the middle, from edge to edge of a pixel; half of them at half the size.
    assert (full.get_xlim(), full.get_ylim()) == ((95.5, 159.5), (159.5, 95.5))
    assert (half.get_xlim(), half.get_ylim()) == ((47.5, 79.5), (79.5, 47.5))
    assert shown(half).shape == (128, 128, 3)
    drawn(figure)


@pytest.mark.parametrize("value", [0, 1])
def test_preprocessing_of_a_tile_without_outlines(value):
    image, labels = np.full((64, 64, 3), 255, np.uint8), np.full((64, 64), value, np.uint8)
    drawn(plot_preprocessing(image, {"full": (image, labels)}, zoom=32))


# Predictions.


def example(title: str, image: np.ndarray, truth: np.ndarray, probability: np.ndarray) -> Example:
    return Example(title, image, truth, probability.astype(np.float32))


def test_predictions(image):
    truth, predicted = square(10, 20), square(15, 30)
    probability = np.where(predicted, 0.5, 0.49)  # the threshold itself counts as nucleus
    blank = np.full_like(image, 255)
    nothing = np.zeros((40, 40), bool)
    figure = plot_predictions([example("best", image, truth, probability), example("worst", blank, nothing, nothing)])
    panels = grid(figure, 2, 5)
    assert titles(panels) == ["image", "truth", "prediction", "error", "probability"]
    assert [row[0].get_ylabel() for row in panels] == ["best", "worst"]
    first = panels[0]
    np.testing.assert_array_equal(shown(first[0]), image)
    np.testing.assert_array_equal((shown(first[1]) == TRUTH_COLOUR).all(-1), rim(truth))
    np.testing.assert_array_equal((shown(first[2]) == PREDICTION_COLOUR).all(-1), rim(predicted))
    np.testing.assert_array_equal(shown(first[3]), draw_errors(image, truth, predicted))
    np.testing.assert_allclose(shown(first[4]), probability, atol=1e-6)
    assert len({panel.images[0].get_extent()[1] for panel in first}) == 1
    assert legend(figure) == list(ERROR_COLOURS)
    drawn(figure)


def test_probabilities_share_one_scale_with_a_colour_bar(image):
    faint, nothing = np.full((40, 40), 0.1), np.zeros((40, 40), bool)
    figure = plot_predictions([example("a", image, nothing, faint), example("b", image, nothing, nothing)])
    heats = [row[4].images[0] for row in grid(figure, 2, 5)]
    assert [heat.get_clim() for heat in heats] == [(0, 1)] * 2
    assert len({heat.get_cmap().name for heat in heats}) == 1
    assert len(figure.axes) == 11
    assert figure.axes[-1].get_ylabel() == "probability of nucleus"
    assert figure.axes[-1].get_ylim() == (0, 1)


def test_a_single_example(image):
    nothing = np.zeros((40, 40), bool)
    drawn(plot_predictions([example("only", image, nothing, nothing)]))


# Attention.


def test_attention(image):
    maps = {
        "trained": {"deep": np.eye(40), "fine": np.full((40, 40), 0.2)},
        "untrained": {"deep": np.zeros((40, 40)), "fine": np.eye(40)[::-1]},
    }
    figure = plot_attention(image, maps)
    panels = grid(figure, 2, 3)
    assert titles(panels) == ["image", "deep", "fine"]
    assert [row[0].get_ylabel() for row in panels] == ["trained", "untrained"]
    for row, heats in zip(panels, maps.values(), strict=True):
        np.testing.assert_array_equal(shown(row[0]), image)
        for panel, heat in zip(row[1:], heats.values(), strict=True):
            np.testing.assert_array_equal(shown(panel), heat)
            assert panel.images[-1].get_clim() == (0, 1)
            assert len(panel.images) == 2  # tissue below, heat above
            assert panel.images[0].get_array().shape == (40, 40)
            assert 0 < panel.images[1].get_alpha() < 1
    assert len(figure.axes) == 7
    assert figure.axes[-1].get_ylabel() == "attention (largest = 1)"
    drawn(figure)


def test_attention_to_nothing_on_glass():
    drawn(plot_attention(np.full((40, 40, 3), 255, np.uint8), {"trained": {"deep": np.zeros((40, 40))}}))


def test_rows_must_have_the_same_layers(image):
    with pytest.raises(KeyError, match="fine"):
        plot_attention(image, {"a": {"fine": np.zeros((40, 40))}, "b": {"deep": np.zeros((40, 40))}})


def test_pictures_have_no_ticks(image):
    figure = plot_attention(image, {"a": {"deep": np.zeros((40, 40))}})
    assert [len(axis.get_xticks()) + len(axis.get_yticks()) for axis in figure.axes[:2]] == [0, 0]


def test_views_stand_in_rows_under_their_epochs(image):
    views = [(image, square(5, 20)), (image, square(10, 30)), (image, square(0, 0))]
    figure = plot_views([views, views[::-1]])
    axes = np.array(figure.axes).reshape(2, 3)
    assert [axis.get_title() for axis in axes[0]] == ["tile", "epoch 1", "epoch 2"]
    np.testing.assert_array_equal(axes[0, 1].images[0].get_array(), draw_contours(image, square(10, 30), TRUTH_COLOUR))
    np.testing.assert_array_equal(axes[0, 2].images[0].get_array(), image)  # no nucleus, no outline


def test_segmentation_shows_what_was_found(image):
    probability = np.linspace(0, 1, 1600, dtype=np.float32).reshape(40, 40)
    instances = square(10, 30).astype(np.int32)
    nuclei = list_nuclei(instances, probability, None, (), 0.25)
    figure = plot_segmentation(image, Segmentation(probability, instances > 0, instances, nuclei, 0.25, 1.0))
    shown, outlined, heat = (axis.images[0] for axis in figure.axes[:3])
    np.testing.assert_array_equal(shown.get_array(), image)
    np.testing.assert_array_equal(outlined.get_array(), draw_nuclei(image, instances, [""]))
    np.testing.assert_array_equal(heat.get_array(), probability)
    assert heat.get_clim() == (0, 1)


def test_each_nucleus_is_outlined_in_the_colour_of_its_kind_on_its_own_pixels(image):
    instances = np.zeros((40, 40), np.int32)
    instances[5:15, 5:10], instances[5:15, 10:15] = 1, 2  # they touch
    drawn = draw_nuclei(image, instances, ["Epithelial", ""])
    changed = (drawn != image).any(-1)
    assert not changed[instances == 0].any()
    first, second = (tuple(int(KIND_COLOURS[kind][at : at + 2], 16) for at in (1, 3, 5)) for kind in ("Epithelial", ""))
    assert tuple(drawn[10, 9]) == first  # on both sides of where they touch, each in its own
    assert tuple(drawn[10, 10]) == second
    np.testing.assert_array_equal(drawn[10, 7], image[10, 7])  # the inside stays


def test_nuclei_as_several_see_them(image):
    instances = square(10, 30).astype(np.int32)
    none = np.zeros_like(instances)
    figure = plot_nuclei({"best": (image, {"found": (instances, ["Dead"]), "drawn by people": (none, [])})})
    assert [axis.get_title() for axis in figure.axes] == ["", "found: 1 nuclei", "drawn by people: 0 nuclei"]
    assert figure.axes[0].get_ylabel() == "best"
    assert [text.get_text() for text in figure.legends[0].texts] == ["Dead"]
    np.testing.assert_array_equal(figure.axes[2].images[0].get_array(), image)


def test_examination_fills_what_is_sure_and_dashes_what_is_not():
    mask = np.zeros((40, 60), bool)
    mask[5:15, 5:15] = mask[20:35, 30:50] = True
    sure = mask.copy()
    sure[:18] = False
    flat = np.zeros((40, 60), np.float32)
    examination = Examination(
        np.full((40, 60, 3), 200, np.uint8), 0.25, flat, flat, mask, sure, flat, "occlusion", nuclei=2, unsure=1
    )
    _, contours, attention, uncertainty = plot_examination(examination).axes[:4]
    fill = contours.images[1].get_array()[..., 3]
    np.testing.assert_array_equal(fill > 0, sure)
    solid, dashed = (drawn.get_linestyles()[0][1] for drawn in contours.collections)
    assert solid is None
    assert dashed is not None
    assert attention.images[1].get_clim() == (0, 1)
    assert uncertainty.images[0].get_clim() == (0, 0.5)
