"""What is generated, odd or bad: no crash but a named error, no file left behind, and what must hold for any input.

`make test` tries a sample; the workflow of every night tries ten times as many (`nightly.EXAMPLES`).
"""

import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from folds import example_images, example_masks, write_fold
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nightly import EXAMPLES
from tiny_run import make_network

from helpers.config import TILE_SIZE
from helpers.data.arrays import ArrayFile, load_labels, load_positions
from helpers.data.cache import Cache
from helpers.data.prepare import prepare
from helpers.data.stitching import source_images, stitch
from helpers.errors import InputError
from helpers.inference.predict import predict
from helpers.inference.trained_model import TrainedModel
from helpers.training.checkpoints import load_checkpoint, save_checkpoint

PROPERTY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Those of a few hundredths of a second each.
SLOW = settings(PROPERTY, max_examples=EXAMPLES // 4)

NUMBERS = st.sampled_from([np.uint8, np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64])
ODD = st.sampled_from([bool, np.complex64, "U3", "S3", "M8[s]", [("a", np.uint8)]])


@contextmanager
def empty_folder() -> Iterator[Path]:
    """Give a folder that is gone afterwards; `tmp_path` would be one for all examples."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def refused_or(action, *arguments, **options):
    """Give what comes back, or None after a named error of one line."""
    try:
        return action(*arguments, **options)
    except InputError as error:
        message = str(error)
    assert message
    assert "\n" not in message
    return None


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Change, cut, or lengthen a file, most often near its start, where the header is."""
    places = st.one_of(st.integers(0, min(160, len(whole) - 1)), st.integers(0, len(whole) - 1))

    def change(changes: list[tuple[int, int]], length: int | None, tail: bytes) -> bytes:
        data = bytearray(whole)
        for place, value in changes:
            data[place] = value
        return bytes(data[:length]) + tail

    changes = st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)
    return st.builds(change, changes, st.none() | st.integers(0, len(whole)), st.binary(max_size=8))


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


# Headers.


@PROPERTY
@given(damaged(npy(np.arange(24.0).reshape(2, 3, 4))))
def test_damaged_npy_files(data):
    with empty_folder() as folder:
        path = folder / "images.npy"
        path.write_bytes(data)
        array = refused_or(ArrayFile.open, path)
        if array is not None and array.shape and len(array):
            values = refused_or(array.read, 0, 1)
            assert values is None or values.shape == (1, *array.shape[1:])
        for load in (lambda: load_labels(path, 2, "tissues"), lambda: load_positions(path, 2)):
            refused_or(load)


HEADER_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=5)
    | st.sampled_from(["<f8", "|u1", "|O"]),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple),
    max_leaves=5,
)


@PROPERTY
@given(
    st.dictionaries(st.sampled_from(["descr", "fortran_order", "shape", "more"]), HEADER_VALUES), st.binary(max_size=64)
)
def test_npy_headers_that_nobody_wrote(header, values):
    text = repr(header).encode("utf-8", "replace")
    with empty_folder() as folder:
        path = folder / "masks.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + values)
        array = refused_or(ArrayFile.open, path)
        assert array is None or array.offset + int(np.prod(array.shape)) * array.dtype.itemsize <= path.stat().st_size


# Folds and their caches.

WRONG = st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.5, 256.0, 1e9, -0.0, 1.0])


@st.composite
def folds(draw) -> dict:
    """Make a fold that fits, then spoil some of it, or nothing."""
    count = draw(st.integers(1, 2))
    parts = {"images": example_images(count), "masks": example_masks(count)}
    parts |= {"types": np.array(["Breast"] * count), "groups": None, "positions": None}
    for name in draw(st.sets(st.sampled_from(list(parts)), max_size=2)):
        how = draw(st.sampled_from(["dtype", "value", "shape", "missing", "odd"]))
        value = parts[name]
        if name in ("types", "groups", "positions"):
            shape = draw(st.sampled_from([(count,), (count, 2), (count + 1,), (), (0,)]))
            parts[name] = None if how == "missing" else np.zeros(shape, draw(NUMBERS | ODD))
        elif how == "dtype":
            parts[name] = value.astype(draw(NUMBERS))
        elif how == "value":
            parts[name] = value.astype(float)
            places = tuple(draw(st.integers(0, side - 1)) for side in value.shape)
            parts[name][places] = draw(WRONG)
        elif how == "shape":
            parts[name] = draw(
                st.sampled_from([value[:, ::2], value[..., :2], value[:0], np.moveaxis(value, -1, 1), value[0]])
            )
        else:
            parts[name] = None if how == "missing" else np.zeros((count, TILE_SIZE, TILE_SIZE, 1), draw(ODD))
    return parts


def lay_out(folder: Path, parts: dict) -> None:
    places = {"images": "Images", "masks": "Masks", "types": "Images", "groups": "Images", "positions": "Images"}
    for name, place in places.items():
        (folder / place).mkdir(exist_ok=True)
        if parts[name] is not None:
            np.save(folder / place / f"{name}.npy", parts[name])


@SLOW
@given(folds(), st.sampled_from([32, 100, 128, 256]), st.sampled_from(["nearest", "majority"]))
def test_folds_that_fit_and_folds_that_do_not(parts, size, labels):
    with empty_folder() as folder:
        lay_out(folder, parts)
        given_files = {path: path.read_bytes() for path in folder.rglob("*.npy")}
        cache = refused_or(prepare, folder, size, labels, progress=False)
        assert all(path.read_bytes() == content for path, content in given_files.items())
        root = folder / ".nuclei_cache"
        left = [path.name for path in root.iterdir()] if root.exists() else []
        assert left == ([] if cache is None else [f"{size}-{labels}"])
        if cache is not None:
            assert cache.images.shape == (len(parts["images"]), size, size, 3)
            assert set(np.unique(cache.class_maps)) <= set(range(6))
            assert all(
                nuclei.any() or not classes.any()
                for nuclei, classes in zip(cache.nuclei, cache.class_maps, strict=True)
            )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Iterator[Path]:
    """A data set with its cache."""
    folder = write_fold(tmp_path_factory.mktemp("prepared") / "data", example_images(2), example_masks(2))
    prepare(folder, 32, progress=False)
    yield folder
    shutil.rmtree(folder.parent)


@SLOW
@given(st.data())
def test_damaged_caches(prepared, data):
    folder = prepared / ".nuclei_cache" / "32-nearest"
    name = data.draw(st.sampled_from(["cache.json", "images.npy", "class_maps.npy"]))
    whole = (folder / name).read_bytes()
    try:
        (folder / name).write_bytes(data.draw(damaged(whole)))
        cache = refused_or(prepare, prepared, 32, progress=False)
        assert cache is None or (isinstance(cache, Cache) and len(cache.images) == len(cache.class_maps) == 2)
    finally:
        shutil.rmtree(folder.parent)
        prepare(prepared, 32, progress=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@SLOW
@given(st.data())
def test_caches_described_by_somebody_else(prepared, data):
    path = prepared / ".nuclei_cache" / "32-nearest" / "cache.json"
    whole = path.read_bytes()
    described = json.loads(whole)
    key = data.draw(st.sampled_from(list(described)))
    how = data.draw(st.sampled_from(["gone", "other", "all other"]))
    if how == "gone":
        del described[key]
    elif how == "other":
        described[key] = data.draw(JSON)
    try:
        path.write_text(json.dumps(data.draw(JSON) if how == "all other" else described))
        cache = refused_or(prepare, prepared, 32, progress=False)
        assert cache is None or len(cache.images) == 2
    finally:
        shutil.rmtree(path.parent.parent)
        prepare(prepared, 32, progress=False)


# Checkpoints.


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Iterator[bytes]:
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder / "model.pth", make_network(), history=[{"epoch": 1}])
    yield (folder / "model.pth").read_bytes()
    shutil.rmtree(folder)


@settings(PROPERTY, max_examples=EXAMPLES // 10)
@given(st.data())
def test_damaged_checkpoints(checkpoint, data):
    with empty_folder() as folder:
        (folder / "model.pth").write_bytes(data.draw(damaged(checkpoint)))
        loaded = refused_or(load_checkpoint, folder / "model.pth")
        assert loaded is None or isinstance(loaded[0], torch.nn.Module)


# Tiling.


@PROPERTY
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 6), st.randoms(use_true_random=False))
def test_what_is_cut_is_put_together_again(height, width, size, chance):
    size = min(size, height, width)
    image = np.random.default_rng(chance.randrange(2**32)).integers(0, 256, (height, width, 3)).astype(np.float32)
    rows, columns = ([*range(0, length - size, size), length - size] for length in (height, width))
    positions = np.array([(row, column) for row in rows for column in columns])
    tiles = np.stack([image[row : row + size, column : column + size] for row, column in positions])
    order = chance.sample(range(len(tiles)), len(tiles))
    np.testing.assert_allclose(stitch(tiles[order], positions[order]), image, rtol=1e-6)


@PROPERTY
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=8),
    st.data(),
)
def test_every_tile_belongs_to_one_image(tiles, data):
    groups = np.array([group for group, _, _ in tiles])
    positions = np.array([place for _, *place in tiles])
    indices = np.array(data.draw(st.lists(st.integers(0, len(tiles) - 1), unique=True, min_size=1)))
    images = source_images(indices, np.array(["Breast"] * len(tiles)), groups, positions)
    assert sorted(np.concatenate([image.indices for image in images])) == sorted(indices)
    for image in images:
        assert len(set(groups[image.indices])) == 1
        assert (image.positions.min(0) == 0).all()


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return TrainedModel(make_network(), 0.5, 0.0, 1.0, "Grad-CAM, decoder 1", (), "0" * 64)


SCALE = st.floats(0.1, 1.0) | st.sampled_from([0.0, -0.25, 2.0, float("nan"), float("inf"), None, "0.25", "40x"])


@pytest.mark.filterwarnings("ignore:image:UserWarning")  # black is no tissue, and grey no H&E
@SLOW
@given(st.integers(0, 90), st.integers(0, 90), SCALE, st.integers(0, 255))
def test_images_of_any_size_and_scale(model, height, width, um_per_px, value):
    image = np.full((height, width, 3), value, np.uint8)
    nuclei = refused_or(predict, image, um_per_px, model)
    if nuclei is None:
        assert image.size == 0 or not isinstance(um_per_px, float) or not 0.1 <= um_per_px <= 1
    else:
        assert nuclei.probability.shape == nuclei.mask.shape == (height, width)
        assert ((nuclei.probability >= 0) & (nuclei.probability <= 1)).all()


@pytest.mark.filterwarnings("ignore:image:UserWarning")  # black is no tissue, and grey no H&E
@SLOW
@given(
    arrays(st.sampled_from([np.uint8, np.float32, np.int64, bool]), st.lists(st.integers(0, 5), max_size=4).map(tuple))
)
@example(np.zeros((1, 1, 3), np.uint8))
@example(np.zeros((1, 1, 4), np.uint8))
def test_arrays_that_are_no_images(model, array):
    nuclei = refused_or(predict, array, 0.5, model)
    is_image = array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] in (3, 4) and array.size > 0
    assert (nuclei is not None) == is_image
