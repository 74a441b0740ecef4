"""From what a network says of each pixel to single nuclei: a label map, and a table with a row for each nucleus."""

from collections.abc import Sequence

import cv2
import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

# Chosen on the validation groups, with the shipped network, by panoptic quality.
CORE_LOGIT = 2.0  # of the interior, from which a pixel is the core of a nucleus
CORE_UM2 = 1.0  # square micrometres (16 pixels at 0.25 um/px); smaller cores are noise
HOLE_UM2 = 30.0  # square micrometres; larger ones, as the lumen of a gland, lie between nuclei, not in one
SMALLEST_UM2 = 3.0  # square micrometres; a lymphocyte has about 40

# What is told of each nucleus.
FIELDS = [
    ("id", np.int32),  # its number in the label map
    ("x", np.float64),  # its centroid: column and row in pixels, of the centre of the first pixel (0, 0)
    ("y", np.float64),
    ("area_um2", np.float64),
    ("kind", "U32"),  # "" where the network tells none
    ("confidence", np.float64),  # mean probability of that kind over its pixels; of nucleus where there are no kinds
    ("left", np.int32),  # its bounding box, in pixels: columns from `left` up to before `right`
    ("top", np.int32),
    ("right", np.int32),
    ("bottom", np.int32),
]


def part_nuclei(mask: np.ndarray, interior: np.ndarray | None, um_per_px: float) -> np.ndarray:
    """Part nuclei that touch, by marker-controlled watershed.

    The cores of nuclei are where the network is sure of an interior. From them each nucleus grows over the mask, down
    the interior's logits; a piece of mask without a core is one nucleus. Holes are filled up to `HOLE_UM2`, and what
    is smaller than `SMALLEST_UM2` is left out.

    Args:
        mask: `(H, W)` bool, where nuclei are.
        interior: `(H, W)` float32, logits of the interior of a nucleus; None where the network does not part them:
            then pieces of the mask that touch are one.
        um_per_px: scale of both, micrometres a pixel.

    Returns:
        `(H, W)` int32, 0 where no nucleus is, nuclei numbered from 1 in reading order of their topmost pixel.

    Reference:
        Meyer 1994, doi:10.1016/0165-1684(94)90060-4 (watershed by flooding from markers).
    """
    filled = _fill_holes(mask, um_per_px)
    count, labels = cv2.connectedComponents(filled.astype(np.uint8), connectivity=4)
    if interior is not None:
        _, cores = cv2.connectedComponents((filled & (interior >= CORE_LOGIT)).astype(np.uint8), connectivity=4)
        _part_pieces(labels, count, _drop_small(cores, CORE_UM2 / um_per_px**2), interior)
    return _number(_drop_small(labels, SMALLEST_UM2 / um_per_px**2))


def list_nuclei(
    instances: np.ndarray,
    probability: np.ndarray,
    kind_logits: np.ndarray | None,
    kinds: Sequence[str],
    um_per_px: float,
) -> np.ndarray:
    """Tell of each nucleus where it lies, how large it is and of which kind.

    Each pixel votes for kinds by its probabilities: a nucleus is of the kind with the highest mean.

    Args:
        instances: `(H, W)` int32 label map, numbered from 1 without a gap.
        probability: `(H, W)` float32, of nucleus.
        kind_logits: `(K, h, w)` float32, one a kind and pixel, of the same picture at any size; None without kinds.
        kinds: the K names.
        um_per_px: scale of `instances`, micrometres a pixel.

    Returns:
        `(n,)` structured array with the fields of `FIELDS`, in the order of the numbers; `pandas.DataFrame` takes it.
    """
    count = int(instances.max(initial=0))
    table = np.zeros(count, FIELDS)
    measure(table, instances, um_per_px)
    inside = np.flatnonzero(instances)
    numbers = instances.ravel()[inside]
    areas = np.bincount(numbers, minlength=count + 1)[1:]
    if kind_logits is None:
        table["confidence"] = np.bincount(numbers, probability.ravel()[inside], count + 1)[1:] / areas
    elif count:
        if same_size := kind_logits.shape[1:] == instances.shape:
            kind_logits = kind_logits.reshape(len(kind_logits), -1).take(
                inside, axis=1
            )  # row by row, unlike [:, inside]
        shares = kind_logits - kind_logits.max(axis=0)  # no library's softmax: it holds two more copies
        np.exp(shares, out=shares)
        shares /= shares.sum(axis=0)
        if not same_size:
            shares = [cv2.resize(share, instances.shape[::-1]).ravel()[inside] for share in shares]
        votes = np.stack([np.bincount(numbers, share, count + 1)[1:] / areas for share in shares], axis=1)
        table["kind"], table["confidence"] = np.array(kinds)[votes.argmax(1)], votes.max(1)
    return table


def measure(table: np.ndarray, instances: np.ndarray, um_per_px: float) -> None:
    """Enter number, centroid, area and bounding box of each nucleus into a table.

    Args:
        table: `(n,)` with the fields of `FIELDS`; changed in place.
        instances: `(H, W)` int32 label map, numbered from 1 to n without a gap.
        um_per_px: its scale, micrometres a pixel.
    """
    inside = np.flatnonzero(instances)
    numbers = instances.ravel()[inside]
    areas = np.bincount(numbers, minlength=len(table) + 1)[1:]
    rows, columns = np.divmod(inside, instances.shape[1])
    table["id"] = np.arange(1, len(table) + 1)
    table["area_um2"] = areas * um_per_px**2
    for name, places in (("x", columns), ("y", rows)):
        table[name] = np.bincount(numbers, places, len(table) + 1)[1:] / areas
    for number, box in enumerate(ndimage.find_objects(instances)):
        (top, bottom), (left, right) = ((side.start, side.stop) for side in box)
        table["left"][number], table["right"][number] = left, right
        table["top"][number], table["bottom"][number] = top, bottom


def _part_pieces(pieces: np.ndarray, count: int, cores: np.ndarray, interior: np.ndarray) -> None:
    """Part the pieces of a mask that have several cores, in place; their parts are numbered from `count` on.

    Each is flooded by itself: watershed makes copies of what it is given, twice as large.
    """
    inside = np.flatnonzero(cores)
    owner = np.zeros(int(cores.max(initial=0)) + 1, np.int64)  # the piece in which each core lies
    owner[cores.ravel()[inside]] = pieces.ravel()[inside]
    several = np.bincount(owner[owner > 0], minlength=count) > 1
    for piece, box in enumerate(ndimage.find_objects(pieces), start=1):
        if several[piece]:
            own = pieces[box] == piece
            parts = watershed(-interior[box], cores[box] * own, mask=own)
            pieces[box][own] = parts[own] + count


def _fill_holes(mask: np.ndarray, um_per_px: float) -> np.ndarray:
    """Fill what of the background is shut in, over sides of pixels, and no larger than `HOLE_UM2`."""
    _, background, facts, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    holes = facts[:, cv2.CC_STAT_AREA] * um_per_px**2 <= HOLE_UM2
    for edge in (background[0], background[-1], background[:, 0], background[:, -1]):
        holes[edge] = False
    return mask | holes[background]


def _number(labels: np.ndarray) -> np.ndarray:
    """Number a label map from 1 in reading order of the first pixels, int32."""
    inside = np.flatnonzero(labels)
    first = np.full(int(labels.max(initial=0)) + 1, -1)
    first[labels.ravel()[inside[::-1]]] = inside[::-1]  # of several, the last stays, which is the first pixel
    present = np.flatnonzero(first >= 0)
    numbers = np.zeros(len(first), np.int32)
    numbers[present[np.argsort(first[present])]] = np.arange(1, len(present) + 1)
    return numbers[labels]


def _drop_small(labels: np.ndarray, pixels: float) -> np.ndarray:
    """Leave out the regions of a label map that have fewer pixels."""
    numbers = np.arange(labels.max(initial=0) + 1, dtype=labels.dtype)
    numbers[np.bincount(labels.ravel()) < pixels] = 0
    return numbers[labels]
