"""Pictures as arrays: given or read, checked, with their scale, and what is odd about them said once."""

import numpy as np
import pytest
from PIL import Image

from helpers.errors import InputError, InputWarning
from helpers.pictures import in_memory
from helpers.pictures.in_memory import read_source
from helpers.sample_tissue.sample import sample_field


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    return sample_field(0)[0][:128, :160]


def test_an_array_is_taken_as_it_is(tissue):
    image, um_per_px = read_source(tissue, "0.5")
    assert image is tissue or np.shares_memory(image, tissue)
    assert um_per_px == 0.5


def test_a_file_is_read_whole_with_its_scale(tissue, tmp_path):
    Image.fromarray(tissue).save(tmp_path / "a.tif", dpi=(25400 / 0.5, 25400 / 0.5))
    for path in (tmp_path / "a.tif", str(tmp_path / "a.tif")):
        image, um_per_px = read_source(path, None)
        np.testing.assert_array_equal(image, tissue)
        assert um_per_px == pytest.approx(0.5)


def test_an_array_without_a_scale_is_taken_at_that_of_the_tiles(tissue):
    with pytest.warns(InputWarning, match=r"^image: expected a scale, found none: 0.25 um/px \(40x\) is assumed"):
        assert read_source(tissue, None)[1] == 0.25


def test_a_slide_belongs_into_files(tissue, monkeypatch):
    monkeypatch.setattr(in_memory, "WHOLE_PIXELS", 128 * 160 - 1)
    with pytest.raises(
        InputError, match=r"image: expected up to 20,479 pixels, found 128 rows of 160; .*predict_files"
    ):
        read_source(tissue, 0.25)


def test_swapped_colours_are_said_with_the_files_name(tissue, tmp_path):
    Image.fromarray(np.ascontiguousarray(tissue[..., ::-1])).save(tmp_path / "a.png")
    with pytest.warns(InputWarning, match=r"a\.png: red and blue seem to be swapped"):
        read_source(tmp_path / "a.png", 0.25)


@pytest.mark.parametrize("source", [None, [[1]], np.zeros((4, 4))])
def test_what_is_no_picture_is_refused(source):
    with pytest.raises(InputError, match="image: expected an RGB array"):
        read_source(source, 0.25)
