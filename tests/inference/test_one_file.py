"""A picture that another process opens by itself; what is written of one is tested in `test_predict_files`."""

import os
import pickle

import numpy as np
import pytest
from colour_networks import Tissue, discs, paint
from PIL import Image

from helpers.errors import InputError
from helpers.inference.one_file import _Elsewhere
from helpers.inference.segmentation import Search
from helpers.inference.trained_model import TrainedModel
from helpers.pictures.picture import ArrayPicture
from helpers.pictures.survey import survey


@pytest.fixture
def path(tmp_path):
    Image.fromarray(paint(discs(90, 90))).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def elsewhere(path) -> _Elsewhere:
    picture = ArrayPicture(paint(discs(90, 90)))
    search = Search(TrainedModel(Tissue(), 0.25), 0.25, survey(picture, 0.25))
    return pickle.loads(pickle.dumps(_Elsewhere(path, path.stat().st_mtime_ns, search)))


def test_another_process_finds_the_same(path):
    work = elsewhere(path)
    (block,) = work.search.blocks
    there, here = work(block), work.search.find(ArrayPicture(paint(discs(90, 90))), block)
    np.testing.assert_array_equal(there.labels, here.labels)
    assert len(there.nuclei) == 4


def test_a_file_that_changed_is_opened_again(path):
    work = elsewhere(path)
    assert len(work(work.search.blocks[0]).nuclei) == 4
    Image.fromarray(np.full((90, 90, 3), 230, np.uint8)).save(path)
    os.utime(path, ns=(0, 0))
    work = elsewhere(path)
    assert len(work(work.search.blocks[0]).nuclei) == 0


def test_a_worker_that_lacks_the_file_is_named(path):
    work = elsewhere(path)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.png: expected a picture, found no such file; .* Dask worker on .*paths"):
        work(work.search.blocks[0])
