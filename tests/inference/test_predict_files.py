"""Pictures to files: the same as in memory, whatever the blocks, and whatever happens on the way."""

import csv
import dataclasses
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from colour_networks import Tissue, discs, paint
from PIL import Image

import helpers
from helpers.errors import InputError, InputWarning
from helpers.inference import blocks, one_file, segmentation
from helpers.inference.engines import Engine, EngineError
from helpers.inference.outputs import ENDINGS
from helpers.inference.predict import predict
from helpers.inference.predict_files import predict_files
from helpers.inference.trained_model import TrainedModel, load_model
from helpers.pictures.tiff import TiffPicture


@pytest.fixture
def model() -> TrainedModel:
    return TrainedModel(Tissue(), um_per_px=0.25, digest="a stand-in")


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    monkeypatch.setattr(blocks, "SIDE", 128)
    monkeypatch.setattr(blocks, "REACH", 20)


def picture(height: int = 300, width: int = 410) -> np.ndarray:
    """Draw nuclei of two kinds; some lie on every seam of `small_blocks`."""
    image = paint(truth := discs(height, width))
    image[:, width // 2 :][truth[:, width // 2 :]] = (120, 40, 70)
    return image


def write_tiff(path: Path, image: np.ndarray, tile: int | None = None, levels: int = 0) -> Path:
    """Write a tiled or striped TIFF at 0.25 um/px, and smaller copies of it."""
    tiling = {"tile": (tile, tile)} if tile else {"rowsperstrip": 7}
    about = {"photometric": "rgb", "resolution": (4e4, 4e4), "resolutionunit": "CENTIMETER", "metadata": None}
    with tifffile.TiffWriter(path) as writer:
        for level in range(levels + 1):
            reduced = {"subfiletype": int(level > 0)}
            writer.write(image[:: 2**level, :: 2**level], **about, **tiling, **reduced, compression="zlib")
    return path


def read_results(out: Path, name: str) -> tuple[np.ndarray, list[dict], list[dict]]:
    labels = tifffile.imread(out / f"{name}.labels.tif")
    features = json.loads((out / f"{name}.geojson").read_text())["features"]
    with open(out / f"{name}.csv", encoding="utf-8", newline="") as file:
        return labels, features, list(csv.DictReader(file))


def contents(out: Path) -> dict[str, bytes]:
    """Give the bytes of all results but the summaries, which name the picture's path."""
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file() and path.suffix != ".json"}


# The same as in memory.


@pytest.mark.parametrize("shape", [(300, 410), (128, 128), (129, 300), (1, 1), (1, 500), (90, 128)])
def test_files_hold_what_is_found_in_memory(tmp_path, model, small_blocks, shape):
    image = picture(*shape)
    Image.fromarray(image).save(tmp_path / "a.png")
    (row,) = predict_files(tmp_path / "a.png", tmp_path / "out", 0.25, model)
    found = predict(image, 0.25, model)
    labels, features, table = read_results(tmp_path / "out", "a")
    np.testing.assert_array_equal(labels, found.instances)
    assert (row["status"], row["all nuclei"]) == ("done", len(found.nuclei))
    assert [int(line["id"]) for line in table] == found.nuclei["id"].tolist()
    assert [line["kind"] for line in table] == found.nuclei["kind"].tolist()
    np.testing.assert_allclose([float(line["x"]) for line in table], found.nuclei["x"], atol=0.006)
    assert len(features) == len(found.nuclei)
    assert row["tissue_mm2"] == found.tissue_mm2


@pytest.mark.parametrize("zoom", [1, 2])
def test_blocks_change_no_nucleus_that_they_see_whole(model, monkeypatch, zoom):
    image = picture()
    whole = predict(image, 0.25 * zoom, model)
    for side, reach in ((256, 40), (200, 32), (160, 48)):
        monkeypatch.setattr(blocks, "SIDE", side)
        monkeypatch.setattr(blocks, "REACH", reach)
        found = predict(image, 0.25 * zoom, model)
        assert len(found.nuclei) == len(whole.nuclei)
        np.testing.assert_array_equal(found.instances > 0, whole.instances > 0)
        np.testing.assert_allclose(sorted(found.nuclei["area_um2"]), sorted(whole.nuclei["area_um2"]))


@pytest.mark.parametrize("tile", [None, 16, 64, 256])
def test_how_a_file_is_cut_changes_nothing(tmp_path, model, small_blocks, tile):
    image = picture()
    predict_files(write_tiff(tmp_path / "a.tif", image, tile), tmp_path / "out", model=model)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/a.labels.tif"), predict(image, 0.25, model).instances)


def test_a_pyramid_is_predicted_at_full_size(tmp_path, model, small_blocks):
    image = picture()
    predict_files(write_tiff(tmp_path / "a.tif", image, 64, levels=2), tmp_path / "out", model=model)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/a.labels.tif"), predict(image, 0.25, model).instances)


def test_a_path_is_predicted_like_its_array(tmp_path, model):
    path = write_tiff(tmp_path / "a.tif", picture(), 64)
    found = predict(path, model=model)
    np.testing.assert_array_equal(found.instances, predict(picture(), 0.25, model).instances)
    assert found.um_per_px == 0.25


def test_everything_can_be_saved_and_nothing_else_is_left(tmp_path, model, small_blocks):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    predict_files(tmp_path / "a.png", tmp_path / "out", 0.25, model, save=tuple(ENDINGS))
    expected = {f"a{ending}" for ending in ENDINGS.values()} | {"a.json", "summary.csv", ".lock"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected
    probability = tifffile.imread(tmp_path / "out/a.probability.tif")
    np.testing.assert_allclose(probability / 255, predict(picture(), 0.25, model).probability, atol=1 / 255)


def test_glass_is_not_looked_at(tmp_path, model, small_blocks, monkeypatch):
    image = np.full((600, 600, 3), 244, np.uint8)
    image[:150, :150] = picture(150, 150)
    seen = []
    original = segmentation.predict_maps
    monkeypatch.setattr(segmentation, "predict_maps", lambda *given: seen.append(1) or original(*given))
    found = predict(image, 0.25, model)
    assert len(seen) == 9 < len(blocks.cut_blocks(600, 600, 1.0))  # those that see the tissue or 4 um around it
    assert len(found.nuclei) == len(predict(picture(150, 150), 0.25, model).nuclei)
    assert 0.8 * 150**2 < found.tissue_mm2 / 0.00025**2 < 1.4 * 150**2


# On the way.


def interrupt_after(monkeypatch, number: int) -> list[int]:
    """Let so many blocks be predicted, then interrupt; give the list of those that were begun."""
    begun, original = [], segmentation.Search.find

    def find(self, source, block):
        begun.append(block.number)
        if len(begun) > number:
            raise KeyboardInterrupt
        return original(self, source, block)

    monkeypatch.setattr(segmentation.Search, "find", find)
    return begun


def test_a_stopped_picture_goes_on_where_it_was(tmp_path, model, small_blocks, monkeypatch):
    path = write_tiff(tmp_path / "a.tif", picture(), 64)
    predict_files(path, tmp_path / "whole", model=model)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            predict_files(path, tmp_path / "out", model=model, workers=1)
    left = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert left == [".a.blocks", ".lock"]  # no half-written result
    (tmp_path / "out/.a.blocks/.a.4242.geojson").write_text("half of")  # as a killed process leaves it
    kept = len(list((tmp_path / "out/.a.blocks").glob("*.npz")))
    assert kept >= 3
    with monkeypatch.context() as patch:
        begun = interrupt_after(patch, 10**6)
        predict_files(path, tmp_path / "out", model=model)
    assert len(begun) == len(blocks.cut_blocks(300, 410, 1.0)) - kept
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_is_done_is_kept_until_something_changes(tmp_path, model, monkeypatch):
    path = write_tiff(tmp_path / "a.tif", picture(), 64)

    def status(**more: object) -> str:
        return predict_files(path, tmp_path / "out", **({"model": model} | more))[0]["status"]

    assert [status(), status(), status(again=True), status()] == ["done", "kept", "done", "kept"]
    assert status(model=dataclasses.replace(model, digest="another")) == "done"
    assert status(um_per_px=0.3, model=dataclasses.replace(model, digest="another")) == "done"
    assert [status(), status(save=("csv", "overview"))] == ["done", "done"]
    (tmp_path / "out/a.csv").unlink()
    assert status() == "done"
    os.utime(path, ns=(0, 0))
    assert [status(), status()] == ["done", "kept"]


@pytest.mark.parametrize("change", [{"threshold_logit": 1.0}, {"temperature": 2.0}, {"um_per_px": 0.3}, {"digest": ""}])
def test_whatever_decides_the_result_counts(tmp_path, model, change):
    path, other = write_tiff(tmp_path / "a.tif", picture(), 64), dataclasses.replace(model, **change)
    statuses = [predict_files(path, tmp_path / "out", model=each)[0]["status"] for each in (model, other)]
    assert statuses == ["done", "done"]


def test_what_was_saved_of_an_older_picture_goes_with_it(tmp_path, model):
    path = write_tiff(tmp_path / "a.tif", picture(), 64)
    predict_files(path, tmp_path / "out", model=model, save=("geojson", "csv"))
    predict_files(path, tmp_path / "out", model=model, save=("overview",))  # the same picture: the others stay
    assert (tmp_path / "out/a.geojson").exists()
    write_tiff(path, picture(120, 120), 64)
    predict_files(path, tmp_path / "out", model=model, save=("csv",))
    assert {file.name for file in (tmp_path / "out").glob("a.*")} == {"a.csv", "a.json"}


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.geojson"])
def test_a_file_of_the_user_s_own_is_not_replaced_unasked(tmp_path, model, name):
    path = write_tiff(tmp_path / "a.tif", picture(), 64)
    (tmp_path / name).write_text("drawn by hand")
    with pytest.warns(InputWarning, match=rf"expected no file by the name of its results, found .*{name}"):
        (row,) = predict_files(path, tmp_path, model=model)
    assert row["status"] == "failed"
    assert (tmp_path / name).read_text() == "drawn by hand"
    assert predict_files(path, tmp_path, model=model, again=True)[0]["status"] == "done"


def test_no_worker_reads_on_when_the_file_is_closed(tmp_path, model, small_blocks, monkeypatch):
    path, open_, late = write_tiff(tmp_path / "a.tif", picture(), 64), [], []
    find, put = segmentation.Search.find, one_file.BlockStore.put

    def watched(self, source, block):
        open_.append(block.number)
        found = find(self, source, block)
        open_.remove(block.number)
        return found

    def fail(self, *given):
        if len(list(self.folder.glob("*.npz"))) == 2:
            raise OSError(28, "No space left on device")
        put(self, *given)

    closed = TiffPicture.close
    monkeypatch.setattr(segmentation.Search, "find", watched)
    monkeypatch.setattr(one_file.BlockStore, "put", fail)
    monkeypatch.setattr(TiffPicture, "close", lambda self: late.extend(open_) or closed(self))
    with pytest.warns(InputWarning, match="No space left"):
        predict_files(path, tmp_path / "out", model=model)
    assert late == []


def test_the_summary_remembers_earlier_calls(tmp_path, model):
    for name in ("a", "b"):
        Image.fromarray(picture(60, 60)).save(tmp_path / f"{name}.png")
        predict_files(tmp_path / f"{name}.png", tmp_path / "out", 0.25, model, save=("csv",))
    rows = predict_files(tmp_path / "a.png", tmp_path / "out", 0.25, model, save=("csv",))
    assert [row["picture"] for row in rows] == [str(tmp_path / "a.png")]
    with open(tmp_path / "out/summary.csv", encoding="utf-8", newline="") as file:
        lines = {line["picture"]: line["status"] for line in csv.DictReader(file)}
    assert lines == {str(tmp_path / "b.png"): "done", str(tmp_path / "a.png"): "kept"}


def test_one_bad_picture_stops_no_other(tmp_path, model):
    for name in ("a", "c"):
        Image.fromarray(picture()).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.warns(InputWarning, match=r"b\.png"):
        rows = predict_files(tmp_path, tmp_path / "out", 0.25, model)
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    with open(tmp_path / "out/summary.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["status"] for line in lines] == ["done", "failed", "done"]
    assert str(tmp_path / "b.png") in lines[1]["message"]


@pytest.mark.parametrize("step", ["BlockStore.put", "Outputs.finish", "open_outputs"])
def test_a_full_disk_leaves_the_results_of_before(tmp_path, model, monkeypatch, step):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    predict_files(tmp_path / "a.png", tmp_path / "out", 0.25, model)
    before = contents(tmp_path / "out")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"helpers.inference.{'one_file' if step != 'Outputs.finish' else 'outputs'}.{step}", fail)
        with pytest.warns(InputWarning, match=r"a\.png: its results cannot be written into .*out \(No space left"):
            (row,) = predict_files(tmp_path / "a.png", tmp_path / "out", 0.25, model, again=True)
    assert row["status"] == "failed"
    assert contents(tmp_path / "out") | {"summary.csv": b""} == before | {"summary.csv": b""}
    (row,) = predict_files(tmp_path / "a.png", tmp_path / "out", 0.25, model)
    assert row["status"] == "kept"
    assert not (tmp_path / "out/.a.blocks").exists()


def test_a_fault_of_the_program_is_named_and_stops_no_other(tmp_path, model, monkeypatch):
    for name in ("a", "b"):
        Image.fromarray(picture(40, 40)).save(tmp_path / f"{name}.png")
    original = segmentation.Search.find

    def find(self, source, block):
        if source.name.endswith("a.png"):
            raise KeyError("lost")
        return original(self, source, block)

    with monkeypatch.context() as patch:
        patch.setattr(segmentation.Search, "find", find)
        with pytest.warns(InputWarning, match=r"a\.png: failed by a fault of this .* \(KeyError: 'lost'\); please"):
            rows = predict_files(tmp_path, tmp_path / "out", 0.25, model)
    assert [row["status"] for row in rows] == ["failed", "done"]
    assert "in find\n    raise KeyError" in (tmp_path / "out/a.error.txt").read_text()
    predict_files(tmp_path, tmp_path / "out", 0.25, model)
    assert not (tmp_path / "out/a.error.txt").exists()


def test_too_little_memory_is_said(tmp_path, model, monkeypatch):
    Image.fromarray(picture(40, 40)).save(tmp_path / "a.png")

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(segmentation.Search, "find", fail)
    with pytest.warns(InputWarning, match=r"a\.png: .*300 MB of memory for each worker"):
        predict_files(tmp_path / "a.png", tmp_path / "out", 0.25, model)


def test_a_damaged_slide_leaves_nothing(tmp_path, model):
    path = write_tiff(tmp_path / "a.tif", picture(), 64)
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].dataoffsets[-1]
    data = bytearray(path.read_bytes())
    data[place : place + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.warns(InputWarning, match=r"a\.tif: expected a whole TIFF, found pixels that cannot be decoded"):
        predict_files(path, tmp_path / "out", 0.25, model)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {".lock", "summary.csv"}


def test_results_beside_the_pictures_are_not_taken_for_pictures(tmp_path, model):
    Image.fromarray(picture(40, 40)).save(tmp_path / "a.png")
    for _ in range(2):
        rows = predict_files(tmp_path, tmp_path, 0.25, model)
        assert [row["picture"] for row in rows] == [str(tmp_path / "a.png")]
    assert rows[0]["status"] == "kept"
    (tmp_path / "a.json").unlink()
    assert len(predict_files(tmp_path, tmp_path, 0.25, model, again=True)) == 1
    assert len(predict_files(str(tmp_path / "*.*"), tmp_path / "out", 0.25, model)) == 1
    with pytest.raises(InputError, match=r"expected pictures, found results .*, such as .*a\.labels\.tif"):
        predict_files(tmp_path / "a.labels.tif", tmp_path / "out", 0.25, model)


def test_another_picture_of_the_name_replaces_nothing_unasked(tmp_path, model):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        Image.fromarray(picture(40, 40)).save(tmp_path / place / "a.png")
    predict_files(tmp_path / "one", tmp_path / "out", 0.25, model)
    with pytest.warns(InputWarning, match=r"two.a\.png: expected no results of another .*one.a\.png by the same"):
        (row,) = predict_files(tmp_path / "two", tmp_path / "out", 0.25, model)
    assert row["status"] == "failed"
    (row,) = predict_files(tmp_path / "two", tmp_path / "out", 0.25, model, again=True)
    assert row["status"] == "done"


def test_a_path_may_be_written_in_several_ways(tmp_path, model, monkeypatch):
    Image.fromarray(picture(40, 40)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    rows = predict_files(["a.png", "./a.png", tmp_path / "a.png"], "out", 0.25, model)
    assert [row["picture"] for row in rows] == ["a.png"]
    assert predict_files(tmp_path / "a.png", "out", 0.25, model)[0]["status"] == "kept"


@pytest.mark.parametrize("written", ["[]", "{}", '{"about": []}', "no JSON"])
def test_a_summary_of_something_else_is_not_taken_for_one(tmp_path, model, written):
    Image.fromarray(picture(40, 40)).save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.json").write_text(written)
    with pytest.warns(InputWarning, match=r"found .*a\.json, which an earlier run did not write"):
        predict_files(tmp_path / "a.png", tmp_path / "out", 0.25, model)
    assert predict_files(tmp_path / "a.png", tmp_path / "out", 0.25, model, again=True)[0]["status"] == "done"


def test_pictures_of_one_name_get_results_of_their_own(tmp_path, model):
    for place in ("one/a.png", "two/a.png", "two/a.tif", "two/b.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.fromarray(picture(40, 40)).save(tmp_path / place)
    predict_files([tmp_path / "one", tmp_path / "two"], tmp_path / "out", 0.25, model, save=("csv",))
    names = {path.name for path in (tmp_path / "out").glob("*.csv")} - {"summary.csv"}
    assert names == {"one-a.png.csv", "two-a.png.csv", "a.tif.csv", "b.csv"}


def test_a_picture_of_the_folder_one_stands_in_is_named_after_it(tmp_path, model, monkeypatch):
    for place in ("here", "here/below"):
        (tmp_path / place).mkdir()
        Image.fromarray(picture(40, 40)).save(tmp_path / place / "a.png")
    monkeypatch.chdir(tmp_path / "here")
    rows = predict_files(["a.png", "below/a.png"], "out", 0.25, model, save=("csv",))
    assert list(rows[0])[:3] == ["picture", "status", "message"]
    names = {path.name for path in (tmp_path / "here/out").glob("*.csv")} - {"summary.csv"}
    assert names == {"here-a.png.csv", "below-a.png.csv"}


def test_no_tissue_is_said(tmp_path, model):
    Image.fromarray(np.full((300, 300, 3), 245, np.uint8)).save(tmp_path / "a.png")
    with pytest.warns(InputWarning, match="no tissue was found"):
        (row,) = predict_files(tmp_path / "a.png", tmp_path / "out", 0.25, model)
    assert (row["all nuclei"], row["tissue_mm2"], row["all per_mm2"]) == (0, 0, None)


def test_an_assumed_scale_is_said_with_the_file(tmp_path, model):
    Image.fromarray(picture()).save(tmp_path / "a.png", dpi=(72, 72))
    with pytest.warns(InputWarning, match=r"a\.png: expected a scale, found 352\.\d um/px .*0\.25 um/px") as warned:
        predict_files(tmp_path / "a.png", tmp_path / "out", model=model)
    assert {warning.filename for warning in warned} == {__file__}  # they point at the call


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"save": ("geojson", "xml")}, "save: expected of .*, found xml"),
        ({"engine": "spark"}, "engine: expected threads, dask or the address"),
        ({"workers": 0}, "workers: expected 1 or more, found 0"),
        ({"um_per_px": 40}, "expected 0.1 to 1.0 micrometres a pixel"),
        ({"sources": []}, "sources: expected pictures, found none"),
        ({"sources": "nowhere.png"}, r"nowhere\.png: expected a picture, found no such file"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(tmp_path, model, given, message):
    Image.fromarray(picture(30, 30)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=message):
        predict_files(**({"sources": tmp_path / "a.png", "out": tmp_path / "out", "model": model} | given))
    assert not (tmp_path / "out").exists()


def test_the_package_offers_it():
    assert helpers.predict_files is predict_files


# Other engines.


def test_dask_gives_the_same_bytes_and_survives_a_lost_worker(tmp_path, small_blocks, monkeypatch):
    distributed = pytest.importorskip("distributed")
    model = load_model(Path(blocks.__file__).parents[2] / "models/nuclei_lite0.onnx")
    paths = [write_tiff(tmp_path / f"{name}.tif", picture(), 64) for name in "ab"]
    predict_files(paths, tmp_path / "threads", model=model)
    connected, connect = [], Engine._connect
    monkeypatch.setattr(Engine, "_connect", lambda self: connected.append(1) or connect(self))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dask's own
        with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            kill, original = [], one_file.BlockStore.put

            def put(self, found, before):
                original(self, found, before)
                if not kill:
                    kill.append(next(iter(cluster.workers.values())))
                    kill[0].process.process.kill()

            monkeypatch.setattr(one_file.BlockStore, "put", put)
            predict_files(paths, tmp_path / "dask", model=model, engine=cluster.scheduler_address)
    assert kill
    assert connected == [1]  # one for both pictures
    assert contents(tmp_path / "dask") == contents(tmp_path / "threads")


def test_a_lost_scheduler_ends_the_call_and_keeps_what_is_there(tmp_path, model, small_blocks, monkeypatch):
    pytest.importorskip("distributed")
    for name in "abcd":
        write_tiff(tmp_path / f"{name}.tif", picture(), 64)
    for name in "ad":
        predict_files(tmp_path / f"{name}.tif", tmp_path / "out", model=model)

    def work_through(self, work, items):
        for number, block in enumerate(items):
            if number == 2:
                self.lost = True
                raise EngineError("engine tcp://node: gone")
            yield work(block)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "work_through", work_through)
        with pytest.warns(InputWarning, match=r"b\.tif: engine tcp://node: gone \(2 more .* not begun\)") as warned:
            rows = predict_files(tmp_path, tmp_path / "out", model=model, engine="tcp://node:1")
    assert len(warned) == 1
    assert [row["status"] for row in rows] == ["kept", "failed"]
    with open(tmp_path / "out/summary.csv", encoding="utf-8", newline="") as file:
        lines = {Path(line["picture"]).stem: line["status"] for line in csv.DictReader(file)}
    assert lines == {"d": "done", "a": "kept", "b": "failed"}
    assert len(list((tmp_path / "out/.b.blocks").glob("*.npz"))) == 2
    assert [row["status"] for row in predict_files(tmp_path, tmp_path / "out", model=model)] == [
        "kept", "done", "done", "kept",
    ]  # fmt: skip
