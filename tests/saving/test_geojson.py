import errno
import gzip
import json
import uuid

import cv2
import numpy as np
import pytest
import shapely

from helpers.inference.instances import list_nuclei
from helpers.saving.colours import UNTOLD, kind_colour
from helpers.saving.geojson import write_geojson

KINDS = ("Inflammatory", "Epithelial", "")


def make_nuclei() -> tuple[np.ndarray, np.ndarray]:
    """Give a label map of three nuclei, and their rows: a square, a ring, and one of two parts."""
    labels = np.zeros((20, 30), np.int32)
    labels[1:4, 1:4] = 1
    cv2.rectangle(labels, (16, 4), (24, 12), 2, 2)
    labels[15, 3] = labels[16, 4] = 3
    nuclei = list_nuclei(labels, np.full(labels.shape, 0.875, np.float32), None, (), 0.5)
    nuclei["kind"] = KINDS
    return labels, nuclei


def write(path, top=0, left=0, picture="slide.svs 30 x 20"):
    labels, nuclei = make_nuclei()
    with write_geojson(path, picture) as file:
        file.add(labels, nuclei, top, left)
    return json.loads((gzip.decompress if path.suffix == ".gz" else bytes)(path.read_bytes()))


def test_each_nucleus_is_a_detection_as_qupath_reads_it(tmp_path):
    read = write(tmp_path / "nuclei.geojson")
    assert read["type"] == "FeatureCollection"
    assert [feature["geometry"]["type"] for feature in read["features"]] == ["Polygon", "Polygon", "MultiPolygon"]
    for feature, kind, row in zip(read["features"], KINDS, make_nuclei()[1], strict=True):
        assert feature["type"] == "Feature"
        assert str(uuid.UUID(feature["id"])) == feature["id"]
        properties = feature["properties"]
        assert properties["objectType"] == "detection"
        assert properties["classification"] == {"name": kind or UNTOLD, "color": [*kind_colour(kind)]}
        assert properties["measurements"] == {
            "Nucleus number": row["id"],
            "Area µm^2": row["area_um2"],
            "Confidence": 0.875,
        }


def test_shapely_reads_the_pixels_back_where_they_lie(tmp_path):
    top, left = 40_000, 123_456
    read = write(tmp_path / "nuclei.geojson", top, left)
    labels, nuclei = make_nuclei()
    for feature, row in zip(read["features"], nuclei, strict=True):
        geometry = shapely.geometry.shape(feature["geometry"])
        assert geometry.is_valid
        assert geometry.area * 0.5**2 == row["area_um2"]
        assert geometry.bounds == (row["left"] + left, row["top"] + top, row["right"] + left, row["bottom"] + top)
        rows, columns = np.nonzero(labels == row["id"])
        assert shapely.contains_xy(geometry, columns + left + 0.5, rows + top + 0.5).all()


def test_coordinates_are_whole_numbers_and_all_is_ascii(tmp_path):
    write(tmp_path / "nuclei.geojson")
    text = (tmp_path / "nuclei.geojson").read_bytes().decode("ascii")
    assert "[[[1,1],[4,1],[4,4],[1,4],[1,1]]]" in text


def test_a_second_run_repeats_every_byte_and_another_picture_has_other_ids(tmp_path):
    for name in ("a.geojson", "a.geojson.gz"):
        write(tmp_path / name)
        first = (tmp_path / name).read_bytes()
        write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == first
    one, other = (write(tmp_path / "a.geojson", picture=name) for name in ("a.svs", "b.svs"))
    ids = [feature["id"] for read in (one, other) for feature in read["features"]]
    assert len({*ids}) == 6


def test_gzip_holds_the_same_text(tmp_path):
    assert write(tmp_path / "nuclei.geojson.gz") == write(tmp_path / "nuclei.geojson")


def test_nuclei_may_come_in_several_crops_or_none(tmp_path):
    labels, nuclei = make_nuclei()
    path = tmp_path / "nuclei.geojson"
    whole = write(path)
    with write_geojson(path, "slide.svs 30 x 20") as file:
        file.add(np.where(labels == 1, 1, 0)[:10], nuclei[:1])
        file.add(np.zeros((5, 5), np.int32), nuclei[:0], 5, 5)
        file.add(np.where(labels > 1, labels, 0)[2:, 1:], nuclei[1:], 2, 1)
    assert json.loads(path.read_bytes()) == whole
    with write_geojson(path, "empty"):
        pass
    assert json.loads(path.read_bytes()) == {"type": "FeatureCollection", "features": []}


@pytest.mark.parametrize("name", ["nuclei.geojson", "nuclei.geojson.gz"])
def test_what_is_interrupted_leaves_the_old_file_and_nothing_else(tmp_path, name):
    write(tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def interrupt():
        with write_geojson(tmp_path / name, "x") as file:
            file.add(*make_nuclei())
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        interrupt()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before


def test_geopandas_reads_every_nucleus(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    write(tmp_path / "nuclei.geojson", 40_000, 123_456)
    frame = geopandas.read_file(tmp_path / "nuclei.geojson").set_crs(
        None, allow_override=True
    )  # it takes pixels for degrees
    assert frame.geometry.is_valid.all()
    assert np.array_equal(frame.geometry.area * 0.25, make_nuclei()[1]["area_um2"])
