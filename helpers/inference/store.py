"""What was found in the blocks of a picture, kept until its files are written: a stopped slide goes on where it was."""

import functools
import json
import shutil
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from helpers.errors import InputError, in_a_line
from helpers.files import read_json, remove_unfinished, write_json, written_whole
from helpers.inference.blocks import Block, Box, Found

ABOUT = "about.json"
# Blocks in memory while files are written, 8 MB each. Two rows of the picture's would do, for files are written strip
# by strip and a strip may cross a seam; no more than this, one row of 120,000 pixels of tissue.
AT_HAND = 64
LEVELS = 255  # a probability is kept as a whole number of so many parts


class BlockStore:
    """Keeps blocks in a folder, each in a file of its own, and reads any rectangle of the picture out of them.

    Args:
        folder: made if it is missing. What is there of another picture, model or setting is removed.
        about: what the blocks depend on, as JSON takes it.
        blocks: of the picture, in order.
        with_probability: keep that too.
    """

    def __init__(self, folder: Path, about: dict, blocks: list[Block], with_probability: bool = False) -> None:
        self.folder, self.blocks, self.with_probability = folder, blocks, with_probability
        about = about | {"blocks": len(blocks), "probability": with_probability}
        if not self._is_about(about):
            if folder.exists():
                shutil.rmtree(folder)
            write_json(folder / ABOUT, about)
        remove_unfinished(folder, (f"{block.number:06d}.npz" for block in blocks))
        self._before: dict[int, int] = {}  # nuclei before each block that was put
        in_a_row = max(Counter(block.core.top for block in blocks).values(), default=1)
        self._read = functools.lru_cache(min(AT_HAND, 2 * in_a_row))(self._load)

    def has(self, block: Block) -> bool:
        """Tell whether a block was kept, by a process before this one too."""
        return self._path(block.number).exists()

    def get(self, block: Block) -> Found:
        """Give what was kept of a block, but for its mask."""
        arrays = self._load(block.number)
        probability = arrays.get("probability", np.zeros(0, np.uint8)).astype(np.float32) / LEVELS
        return Found(block, arrays["labels"].astype(np.int32), arrays["nuclei"], probability, None)

    def put(self, found: Found, before: int) -> None:
        """Keep what was settled of a block that has so many nuclei before it; a killed process leaves no part.

        One that was kept already is not written again: settled once more it is the same.
        """
        self._before[found.block.number] = before
        if self.has(found.block):
            return
        small = np.uint16 if len(found.nuclei) < 2**16 else np.int32
        arrays = {"labels": found.labels.astype(small), "nuclei": found.nuclei}
        if self.with_probability:
            arrays["probability"] = np.rint(found.probability * LEVELS).astype(np.uint8)
        with written_whole(self._path(found.block.number)) as temporary:
            np.savez_compressed(temporary, **arrays)

    def read_labels(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Read a rectangle of the picture's label map, `(height, width)` int32, out of the blocks that were put."""
        box, result = Box(top, left, top + height, left + width), np.zeros((height, width), np.int32)
        for block in self.blocks:
            if block.number in self._before and (both := block.seen.shared(box)):
                labels = self._read(block.number)["labels"][both.within(block.seen)]
                inside = labels > 0
                result[both.within(box)][inside] = labels[inside].astype(np.int32) + self._before[block.number]
        return result

    def read_probability(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Read a rectangle of the probability of nucleus, `(height, width)` float32, 0 to 1."""
        box, result = Box(top, left, top + height, left + width), np.zeros((height, width), np.float32)
        for block in self.blocks:
            if block.number in self._before and (both := block.core.shared(box)):
                result[both.within(box)] = self._read(block.number)["probability"][both.within(block.core)]
        return result / LEVELS

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)

    def _is_about(self, about: dict) -> bool:
        try:
            return read_json(self.folder / ABOUT) == json.loads(json.dumps(about))
        except InputError:
            return False

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def _load(self, number: int) -> dict[str, np.ndarray]:
        path = self._path(number)
        try:
            with np.load(path) as file:
                return {name: file[name] for name in file.files}
        except (EOFError, ValueError, zipfile.BadZipFile) as error:  # as a computer that lost power leaves it
            raise InputError(
                f"{path}: expected what an earlier run found in a block, found a damaged file ({in_a_line(error)}); "
                f"delete {self.folder} and predict the picture again"
            ) from None
