"""What is kept of blocks: read back by rectangles, and only for what it was made of."""

import numpy as np
import pytest

from helpers.errors import InputError
from helpers.inference import store as module
from helpers.inference.blocks import Block, Box, Found
from helpers.inference.instances import FIELDS
from helpers.inference.store import BlockStore

BLOCKS = [
    Block(0, Box(0, 0, 8, 10), Box(0, 0, 8, 13)),
    Block(1, Box(0, 10, 8, 20), Box(0, 7, 8, 20)),
]


def found(block: Block, labels: np.ndarray) -> Found:
    nuclei = np.zeros(labels.max(), FIELDS)
    nuclei["id"] = np.arange(1, len(nuclei) + 1)
    nuclei["kind"] = "Epithelial"
    probability = np.linspace(0, 1, 80, dtype=np.float32).reshape(8, 10)
    return Found(block, labels.astype(np.int32), nuclei, probability, probability > 0.5)


@pytest.fixture
def two() -> list[Found]:
    first, second = np.zeros((8, 13), int), np.zeros((8, 13), int)
    first[1:4, 8:12] = 1  # reaches into the second block
    first[6, 0] = 2
    second[5:7, 1:6] = 1  # reaches into the first
    return [found(block, labels) for block, labels in zip(BLOCKS, (first, second), strict=True)]


@pytest.mark.parametrize("at_hand", [1, 24])
def test_any_rectangle_is_read_across_blocks(tmp_path, two, monkeypatch, at_hand):
    monkeypatch.setattr(module, "AT_HAND", at_hand)
    store = BlockStore(tmp_path / "blocks", {"picture": "a"}, BLOCKS, with_probability=True)
    for block, before in zip(two, (0, 2), strict=True):
        store.put(block, before)
    whole = np.zeros((8, 20), int)
    whole[1:4, 8:12], whole[6, 0], whole[5:7, 8:13] = 1, 2, 3
    probability = np.concatenate([two[0].probability] * 2, axis=1)
    for top, left, height, width in ((0, 0, 8, 20), (2, 9, 5, 6), (7, 19, 1, 1), (0, 0, 1, 20)):
        place = np.s_[top : top + height, left : left + width]
        np.testing.assert_array_equal(store.read_labels(top, left, height, width), whole[place])
        np.testing.assert_allclose(store.read_probability(top, left, height, width), probability[place], atol=1 / 500)
    store.remove()
    assert not (tmp_path / "blocks").exists()


def test_strips_of_a_wide_picture_read_each_block_once(tmp_path, monkeypatch):
    blocks = [
        Block(30 * row + column, *[Box(8 * row, 10 * column, 8 * row + 8, 10 * column + 10)] * 2)
        for row in range(3)
        for column in range(30)
    ]
    loads, load = [], BlockStore._load
    monkeypatch.setattr(BlockStore, "_load", lambda self, number: loads.append(number) or load(self, number))
    store = BlockStore(tmp_path, {}, blocks)
    for block in blocks:
        store.put(found(block, np.ones((8, 10), int)), block.number)
    for top in range(0, 24, 3):
        for left in range(0, 300, 60):
            store.read_labels(top, left, 3, 60)
    assert loads == sorted(set(loads), key=loads.index)
    assert len(loads) == 90


def test_another_process_finds_what_was_kept(tmp_path, two):
    BlockStore(tmp_path, {"picture": "a"}, BLOCKS).put(two[0], 0)
    again = BlockStore(tmp_path, {"picture": "a"}, BLOCKS)
    assert [again.has(block) for block in BLOCKS] == [True, False]
    kept = again.get(BLOCKS[0])
    np.testing.assert_array_equal(kept.labels, two[0].labels)
    np.testing.assert_array_equal(kept.nuclei, two[0].nuclei)
    assert not again.read_labels(0, 0, 8, 20).any()  # its nuclei have no numbers before it is settled again


def test_what_was_kept_is_not_written_again(tmp_path, two):
    BlockStore(tmp_path, {}, BLOCKS).put(two[0], 0)
    before = (tmp_path / "000000.npz").stat().st_ino  # a file written anew has another
    again = BlockStore(tmp_path, {}, BLOCKS)
    again.put(again.get(BLOCKS[0]), 7)
    assert (tmp_path / "000000.npz").stat().st_ino == before
    assert again.read_labels(0, 0, 8, 20)[2, 9] == 8


@pytest.mark.parametrize("content", [b"", b"half of", b"PK"])
def test_a_damaged_block_is_said(tmp_path, content):
    store = BlockStore(tmp_path, {}, BLOCKS)
    (tmp_path / "000000.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"000000\.npz: expected what an earlier run found .*; delete .* and predict"):
        store.get(BLOCKS[0])


@pytest.mark.parametrize("change", [{"picture": "b"}, {"picture": "a", "model": "c"}, {}])
def test_what_was_made_of_something_else_is_removed(tmp_path, two, change):
    BlockStore(tmp_path, {"picture": "a"}, BLOCKS).put(two[0], 0)
    assert not BlockStore(tmp_path, change, BLOCKS).has(BLOCKS[0])


def test_what_a_killed_process_left_of_a_block_is_removed(tmp_path, two):
    BlockStore(tmp_path, {}, BLOCKS)
    (tmp_path / ".000000.77.npz").write_bytes(b"half of")
    assert not BlockStore(tmp_path, {}, BLOCKS).has(BLOCKS[0])
    assert [path.name for path in tmp_path.iterdir()] == ["about.json"]


def test_more_nuclei_than_sixteen_bits_count_stay_apart(tmp_path):
    labels = np.arange(1, 70_001).reshape(700, 100)
    block = Block(0, Box(0, 0, 700, 100), Box(0, 0, 700, 100))
    store = BlockStore(tmp_path, {}, [block])
    store.put(found(block, labels), 5)
    np.testing.assert_array_equal(store.read_labels(0, 0, 700, 100), labels + 5)
