"""What instance masks say: of which class a pixel is, and of which nucleus."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from helpers.config import CLASS_NAMES
from helpers.errors import InputError

NUM_CLASSES = len(CLASS_NAMES)
MOST_NUCLEI = np.iinfo(np.uint16).max  # in one picture
# Of the bits of a byte, the highest for channel 0, the class of the first that is set.
CLASS_OF_BITS = np.array([9 - bits.bit_length() if bits else 0 for bits in range(256)], np.uint8)


def class_maps_from_masks(masks: np.ndarray) -> np.ndarray:
    """Turn instance masks into class maps.

    Foreground is where a class channel holds an instance, never where the background channel is 0: in PanNuke's void
    tiles all six channels are 0. A pixel that carries two classes gets the first in PanNuke's order.

    Masks `(n, H, W, 6)` with instance numbers in channels 0-4 become `(n, H, W)` uint8: 0 for background and
    `1 + channel` elsewhere.

    >>> mask = np.zeros((1, 1, 3, 6)); mask[0, 0, 1, 4] = 7; mask[0, 0, 2, [1, 3]] = 9
    >>> class_maps_from_masks(mask)
    array([[[0, 5, 2]]], dtype=uint8)
    """
    # A bit for each channel, the first the highest; a table knows the class of every byte. Ten times argmax's speed.
    return CLASS_OF_BITS[np.packbits(masks[..., :NUM_CLASSES] > 0, axis=-1)[..., 0]]


def number_instances(masks: np.ndarray, class_maps: np.ndarray) -> np.ndarray:
    """Give each nucleus of instance masks one number of its own, whatever channel it stands in.

    Channels may use a number twice, and then mean two nuclei. A nucleus in several pieces is one.

    Args:
        masks: `(n, H, W, 6)` int, as in a fold.
        class_maps: `(n, H, W)`, as `class_maps_from_masks` gives them: they decide where two classes overlap.

    Returns:
        `(n, H, W)` int64, 0 for background.

    >>> mask = np.zeros((1, 1, 3, 6), int); mask[0, 0, 1, 4] = 7; mask[0, 0, 2, 1] = 7
    >>> number_instances(mask, class_maps_from_masks(mask))
    array([[[ 0, 39, 36]]])
    """
    channels = np.maximum(class_maps, 1)[..., None] - 1
    numbers = np.take_along_axis(masks, channels, axis=-1).astype(np.int64) * NUM_CLASSES + channels
    return np.where(class_maps > 0, numbers[..., 0], 0)


def channels_of(numbers: np.ndarray) -> np.ndarray:
    """Give the class channel that each nucleus stands in, from its number as `number_instances` gives it.

    >>> channels_of(np.array([39, 36]))
    array([4, 1])
    """
    return numbers % NUM_CLASSES


def count_instances(instances: np.ndarray) -> int:
    """Count the different instance numbers above 0, which need not be consecutive.

    >>> count_instances(np.array([[0.0, 7.0], [3500.0, 7.0]]))
    2
    """
    present = instances[instances > 0]
    if present.size == 0:
        return 0
    # Counting is 30 times faster than sorting, as long as the numbers are small.
    if float(present.max()) < 1_000_000:  # a float16 knows no million
        return int((np.bincount(present.astype(np.int64)) > 0).sum())
    return np.unique(present).size


class Numbers:
    """Numbers the nuclei of each picture from 1 on, in the order in which its tiles show them.

    Args:
        pictures: `(N,)` name of each tile's picture, "" where none is told: then the tile is a picture of its own.
    """

    def __init__(self, pictures: Sequence[str]) -> None:
        self.pictures, self.tile, self.left = pictures, 0, Counter(pictures)
        # Of each picture that is not finished the nuclei seen so far, by their number in the fold.
        self.known: dict[str, dict[int, int]] = {}

    def of_tile(self, instances: np.ndarray) -> np.ndarray:
        """Number the nuclei of the next tile: `(H, W)` int64, as in `Tiles.instances`, to `(H, W)` uint16."""
        picture = self.pictures[self.tile]
        known = self.known.setdefault(picture, {}) if picture else {}
        self.tile += 1
        self.left[picture] -= 1
        if not self.left[picture]:
            self.known.pop(picture, None)
        there, places = np.unique(instances, return_inverse=True)
        numbers = np.array([known.setdefault(number, len(known) + 1) if number else 0 for number in there.tolist()])
        if len(known) > MOST_NUCLEI:
            raise InputError(
                f"{picture}: expected at most {MOST_NUCLEI:,} nuclei in one source image, found more; cut it in parts"
            )
        return numbers.astype(np.uint16)[places].reshape(instances.shape)
