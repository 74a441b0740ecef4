"""The files of one picture: their names, and that the command line knows them all."""

from pathlib import Path

import pytest
from colour_networks import Tissue, discs, paint

from helpers.arguments import SAVED
from helpers.inference.blocks import Seams
from helpers.inference.outputs import ENDINGS, USUAL, open_outputs, paths_of
from helpers.inference.segmentation import Search
from helpers.inference.trained_model import TrainedModel
from helpers.pictures.picture import ArrayPicture
from helpers.pictures.survey import survey


def test_the_command_line_offers_all_that_can_be_saved():
    assert set(SAVED) == set(ENDINGS)
    assert set(USUAL) <= set(ENDINGS)


def test_files_are_named_after_the_picture():
    paths = paths_of(Path("out"), "slide 1.2", ("geojson", "labels"))
    assert paths == {"geojson": Path("out/slide 1.2.geojson"), "labels": Path("out/slide 1.2.labels.tif")}


def test_every_kind_is_counted_also_where_there_is_none(tmp_path):
    picture = ArrayPicture(paint(discs(90, 90)), "a.png")
    search = Search(TrainedModel(Tissue(), 0.25), 0.25, survey(picture, 0.25))
    with open_outputs(paths_of(tmp_path, "a", ("csv",)), picture, search) as outputs:
        for block in search.blocks:
            outputs.add(Seams(0.25).settle(search.find(picture, block)), 0)
        row = outputs.finish(None)
    assert (row["Blue nuclei"], row["Red nuclei"], row["all nuclei"]) == (4, 0, 4)
    assert row["all per_mm2"] == pytest.approx(4 / row["tissue_mm2"])
    assert (row["height"], row["width"], row["um_per_px"]) == (90, 90, 0.25)
    assert (tmp_path / "a.csv").exists()


def test_an_error_on_the_way_leaves_no_file(tmp_path):
    picture = ArrayPicture(paint(discs(90, 90)), "a.png")
    search = Search(TrainedModel(Tissue(), 0.25), 0.25, survey(picture, 0.25))

    def fail_on_the_way() -> None:
        with open_outputs(paths_of(tmp_path, "a", ("csv", "geojson", "geojson.gz")), picture, search) as outputs:
            outputs.add(search.find(picture, search.blocks[0]), 0)
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        fail_on_the_way()
    assert list(tmp_path.iterdir()) == []
