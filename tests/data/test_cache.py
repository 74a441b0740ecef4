"""A cache that is opened again, and caches that somebody else has written to."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from folds import example_images, example_masks, write_fold

from helpers.data.cache import DESCRIPTION, key_of, open_cache
from helpers.data.prepare import prepare
from helpers.errors import InputError


@pytest.fixture
def dataset(tmp_path) -> Iterator[Path]:
    """Two tiles, prepared at 32 pixels; removed at once, for pytest would keep them."""
    folder = write_fold(tmp_path / "two", example_images(2), example_masks(2))
    prepare(folder, 32, progress=False)
    yield folder
    shutil.rmtree(tmp_path)


@pytest.fixture
def cache(dataset) -> Path:
    return dataset / ".nuclei_cache" / "32-nearest"


def change(cache: Path, how: Callable[[dict], object]) -> None:
    described = json.loads((cache / DESCRIPTION).read_text())
    how(described)
    (cache / DESCRIPTION).write_text(json.dumps(described))


def test_what_is_opened_is_what_was_prepared(dataset, cache):
    first, again = prepare(dataset, 32, progress=False), open_cache(cache, dataset)
    assert key_of(cache)["image_size"] == again.image_size == 32
    for name, value in vars(first).items():
        np.testing.assert_equal(getattr(again, name), value)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (lambda described: described.pop("digest"), "digest"),
        (lambda described: described.pop("void"), "void"),
        (lambda described: described["tissues"].append("Liver"), "tissues: expected one for each of 2 tiles"),
        (lambda described: described["nuclei"][0].pop(), "inhomogeneous"),
        (lambda described: described.update(nuclei=None), "nuclei: expected one for each of 2 tiles"),
        (lambda described: described.update(void=[0, 1]), "void: expected one for each of 2 tiles, found others"),
        (lambda described: described.update(positions=[1, 2]), "positions: expected one for each"),
        (lambda described: described.update(tissues=[["a"], []]), "inhomogeneous"),
        (lambda described: described["key"].update(image_size=64), r"images: expected \(2, 64, 64, 3\) uint8"),
        (lambda described: described.update(more=1), "more"),
        (lambda described: described.update(kinds=["a"]), "kinds: expected 5, found 1"),
        (lambda described: described.update(annotated=[[1, 1], [1, 1]]), "annotated: expected one for each of 2 tiles"),
    ],
)
def test_descriptions_that_do_not_fit(dataset, cache, how, reason):
    change(cache, how)
    with pytest.raises(
        InputError, match=f"32-nearest: the cache is damaged .*{reason}.*delete this folder and prepare"
    ):
        open_cache(cache, dataset)


@pytest.mark.parametrize(("name", "dtype"), [("class_maps", "uint8"), ("instances", "uint16")])
@pytest.mark.parametrize("values", [np.zeros((2, 32, 32), np.float32), np.zeros((3, 32, 32), np.uint8)])
def test_arrays_of_another_kind(dataset, cache, name, dtype, values):
    np.save(cache / f"{name}.npy", values)
    with pytest.raises(InputError, match=rf"{name}: expected \(2, 32, 32\) {dtype}, found"):
        open_cache(cache, dataset)


@pytest.mark.parametrize("text", ["[]", "null", "{}", '{"key": null}'])
def test_a_description_that_names_no_source_is_written_again(dataset, cache, text):
    (cache / DESCRIPTION).write_text(text)
    assert len(prepare(dataset, 32, progress=False)) == 2
    assert key_of(cache)["labels"] == "nearest"
