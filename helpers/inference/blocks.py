"""A picture of any size in blocks, each predicted by itself, so that nuclei at their seams are whole and come once.

Blocks lie where the picture's size and scale alone put them, however it is read and written; a picture of up to
`SIDE` pixels a side is one block. A block's core is its own, and it sees `REACH` further on all sides: a nucleus is
found by every block that sees it, and is that one's in whose core the centre of its bounding box lies. Blocks see it a
little differently, so one whose centre lies near a core is kept too, lest each leave it to the other; `Seams` settles
what several kept.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from helpers.inference.instances import measure

# Pixels of what a block sees, at the picture's scale or the model's, whichever has more: 4 million of them take 300 MB
# while it is worked on.
SIDE = 2048
REACH = 64  # pixels at the model's scale (16 um): nuclei of up to 32 um are seen whole
# Micrometres beyond a core in which nuclei are kept too. Along 28,000 pixels of seams 18 nuclei were lost without it,
# 10 at 1 um, 8 at 2 um, 2 at 4 um.
NEAR_UM = 4.0


class Box(NamedTuple):
    """A rectangle of a picture, in pixels; `bottom` and `right` are the first beyond it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Its height and width."""
        return self.bottom - self.top, self.right - self.left

    def within(self, other: "Box") -> tuple[slice, slice]:
        """Give its rows and columns counted from the corner of another that it lies in."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )

    def shared(self, other: "Box") -> "Box | None":
        """Give what two have in common, or None."""
        box = Box(*map(max, self[:2], other[:2]), *map(min, self[2:], other[2:]))
        return box if min(box.shape) > 0 else None


class Block(NamedTuple):
    """One block: what is its own, and what it sees."""

    number: int  # from 0, in reading order
    core: Box
    seen: Box


@dataclass(frozen=True)
class Found:
    """What was found in a block.

    Attributes:
        block: where.
        labels: `(h, w)` int32 of all that the block sees: its own nuclei whole, also where they reach out of its core,
            0 where there are none or others' are.
        nuclei: their rows, as of `instances.list_nuclei`; places count from the picture's corner.
        probability: `(h, w)` float32 of its core.
        mask: `(h, w)` bool of its core.
    """

    block: Block
    labels: np.ndarray
    nuclei: np.ndarray
    probability: np.ndarray
    mask: np.ndarray


def cut_blocks(height: int, width: int, zoom: float) -> list[Block]:
    """Cut a picture into blocks, whose cores cover it once.

    Args:
        height: rows of the picture.
        width: columns.
        zoom: pixels at the model's scale for one of the picture.
    """
    side, reach = round(SIDE / max(1.0, zoom)), math.ceil(REACH / zoom)
    cuts = [_cut(length, side, reach) for length in (height, width)]
    whole, blocks = Box(0, 0, height, width), []
    for top, bottom in cuts[0]:
        for left, right in cuts[1]:
            seen = Box(top - reach, left - reach, bottom + reach, right + reach).shared(whole)
            blocks.append(Block(len(blocks), Box(top, left, bottom, right), seen))
    return blocks


def _cut(length: int, side: int, reach: int) -> list[tuple[int, int]]:
    """Give where cores begin and end along one side: evenly, so that no block sees more than `side`.

    >>> _cut(100, 100, 10), _cut(101, 100, 10)
    ([(0, 100)], [(0, 51), (51, 101)])
    """
    count = 1 if length <= side else math.ceil(length / (side - 2 * reach))
    core = math.ceil(length / count)
    return [(start, min(start + core, length)) for start in range(0, length, core)]


def shift(nuclei: np.ndarray, seen: Box) -> np.ndarray:
    """Count the places of nuclei from the picture's corner, no longer from that of the block; in place."""
    for name in ("x", "left", "right"):
        nuclei[name] += seen.left
    for name in ("y", "top", "bottom"):
        nuclei[name] += seen.top
    return nuclei


def keep_own(found: Found, um_per_px: float) -> Found:
    """Keep the nuclei of a block's core; numbers begin at 1 again.

    They are those whose bounding box has its centre there, or within `NEAR_UM` of it if the block sees them whole.
    """
    core, seen, nuclei = found.block.core, found.block.seen, found.nuclei
    if seen == core:  # the whole picture
        return found
    row, column = (nuclei["top"] + nuclei["bottom"]) // 2, (nuclei["left"] + nuclei["right"]) // 2
    beyond = np.maximum.reduce([core.top - row, row - core.bottom + 1, core.left - column, column - core.right + 1])
    whole = (nuclei["top"] > seen.top) & (nuclei["bottom"] < seen.bottom)
    whole &= (nuclei["left"] > seen.left) & (nuclei["right"] < seen.right)
    return _choose(found, beyond <= np.where(whole, NEAR_UM / um_per_px, 0))


class Seams:
    """Settles what blocks found beside each other; they must come in reading order.

    Two blocks may keep the same nucleus, or draw it a little differently so that neighbours overlap: a pixel stays with
    the nucleus that came first, and a nucleus that has lost more than half is left out.

    Args:
        um_per_px: the picture's scale, micrometres a pixel.

    Attributes:
        count: nuclei so far.
    """

    def __init__(self, um_per_px: float) -> None:
        self.um_per_px, self.count = um_per_px, 0
        self._taken: list[tuple[Box, np.ndarray]] = []  # what earlier blocks see, and which of its pixels are taken

    def settle(self, found: Found) -> Found:
        """Give what stays of a block; its nuclei are numbered from 1, and `count` has grown by as many."""
        seen = found.block.seen
        self._taken = [(box, taken) for box, taken in self._taken if box.bottom > seen.top]
        labels = found.labels.copy()
        for box, taken in self._taken:
            if both := seen.shared(box):
                labels[both.within(seen)][np.unpackbits(taken, axis=1)[both.within(box)] > 0] = 0
        left = np.bincount(labels.ravel(), minlength=len(found.nuclei) + 1)[1:]
        before = np.bincount(found.labels.ravel(), minlength=len(found.nuclei) + 1)[1:]
        if (left < before).any():
            stays = 2 * left >= before
            found = _choose(dataclasses.replace(found, labels=labels), stays)
            if (left < before)[stays].any():
                nuclei = found.nuclei.copy()
                measure(nuclei, found.labels, self.um_per_px)
                found = dataclasses.replace(found, nuclei=shift(nuclei, seen))
        self.count += len(found.nuclei)
        if found.block.seen != found.block.core:
            self._taken.append((seen, np.packbits(found.labels > 0, axis=1)))
        return found


def _choose(found: Found, chosen: np.ndarray) -> Found:
    """Keep some of the nuclei, `(n,)` bool, numbered anew in their order."""
    if chosen.all():
        return found
    numbers = np.zeros(len(chosen) + 1, np.int32)
    numbers[1:][chosen] = np.arange(1, np.count_nonzero(chosen) + 1)
    nuclei = found.nuclei[chosen]
    nuclei["id"] = np.arange(1, len(nuclei) + 1)
    return dataclasses.replace(found, labels=numbers[found.labels], nuclei=nuclei)
