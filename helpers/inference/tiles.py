"""From an image to logits: the one road that everything takes, tile by tile at the network's own scale."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from helpers.inference.symmetries import SYMMETRIES, turn, turn_back
from helpers.inference.trained_model import TrainedModel
from helpers.pictures.outside import fill_outside

OVERLAP = 4  # neighbouring tiles share 1/4 of their side, where the nearer one counts more
TILES = 16  # cut at once
PLAIN = SYMMETRIES[:1]
NOTHING = -30.0  # logit of nucleus where no tile was looked at
Wanted = Callable[[int, int, int, int], bool]  # of a rectangle: its top, left, bottom and right


def predict_maps(
    model: TrainedModel,
    image: np.ndarray,
    um_per_px: float,
    device: object = "cpu",
    symmetries: tuple[tuple[int, bool], ...] = PLAIN,
    wanted: Wanted | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Predict all that the network tells of every pixel of an image, at the model's scale.

    The image is brought to that scale and cut into overlapping tiles; their logits are averaged over the symmetries
    and blended.

    Args:
        model: the network and its scale; it stays on its own device.
        image: `(H, W, 3)` uint8, RGB, or `(H, W, 4)` RGBA.
        um_per_px: the image's scale in micrometres a pixel.
        device: where to compute.
        symmetries: of `symmetries.SYMMETRIES`, over which each tile is averaged; all eight are test-time averaging.
        wanted: tells of a rectangle of the image whether it is worth looking at; None for all. Where it says no to all
            tiles, there is no nucleus.

    Returns:
        logits by name, `(C, h, w)` float32 at the model's scale; and where there is no tissue, `(H, W)` bool at the
        image's. Where there is none at all nothing is asked of the network, and no nucleus is anywhere.

    Reference:
        Overlapping tiles as in Ronneberger, Fischer, Brox 2015, figure 2, doi:10.1007/978-3-319-24574-4_28.
    """
    image, outside = fill_outside(image)
    if outside.all():
        return no_maps(), outside
    height, width = size_at_scale(outside.shape, um_per_px, model)
    size, scale = model.network.img_size, (outside.shape[0] / height, outside.shape[1] / width)
    places = tile_places(max(height, size), max(width, size), size)
    if wanted:
        places = [place for place in places if wanted(*_in_image(place, scale))]
    if not places:
        return no_maps(), outside
    at_scale = resize(image, height, width)
    # Smaller than a tile: its border is repeated, for a black frame would look like tissue.
    padding = (0, max(0, size - height), 0, max(0, size - width))
    padded = cv2.copyMakeBorder(at_scale, *padding, cv2.BORDER_REPLICATE) if any(padding) else at_scale
    window = tile_window(size, size)
    total: dict[str, np.ndarray] = {}
    weight = np.zeros(padded.shape[:2], np.float32)
    for start in range(0, len(places), TILES):
        chunk = places[start : start + TILES]
        tiles = np.stack([padded[place] for place in chunk])  # (n, size, size, 3)
        for name, logits in _sum(model, tiles, device, symmetries).items():
            if name not in total:
                total[name] = np.zeros((logits.shape[1], *weight.shape), np.float32)
            for place, values in zip(chunk, logits, strict=True):
                total[name][:, *place] += window * values
        del logits, values  # else they would be in memory beside the next chunk's
        for place in chunk:
            weight[place] += window * len(symmetries)
    looked = weight > 0
    weight[~looked] = 1
    for name, blended in total.items():
        blended /= weight
        if name != "kinds":
            blended[:, ~looked] = NOTHING
    return {name: blended[:, :height, :width] for name, blended in total.items()}, outside


def no_maps() -> dict[str, np.ndarray]:
    """Give what `predict_maps` does where nothing was looked at."""
    return {"nuclei": np.full((1, 1, 1), NOTHING, np.float32)}


def nuclei_logits(maps: dict[str, np.ndarray], outside: np.ndarray) -> np.ndarray:
    """Bring the logits of nucleus `(1, h, w)` to the image's size `(H, W)`, minus infinity where there is no tissue."""
    logits = resize(maps["nuclei"][0], *outside.shape)
    logits[outside] = -np.inf
    return logits


def tile_places(height: int, width: int, size: int) -> list[tuple[slice, slice]]:
    """Give rows and columns of the tiles that cover an image, `size` pixels a side or the whole of a shorter side."""
    rows, columns = (_starts(length, min(length, size)) for length in (height, width))
    return [np.s_[row : row + size, column : column + size] for row in rows for column in columns]


def tile_window(height: int, width: int) -> np.ndarray:
    """Give what each pixel of a tile counts where tiles overlap, `(height, width)` float32: more the further inside."""
    ramps = [np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) for side in (height, width)]
    return np.minimum.outer(*ramps).astype(np.float32)


def size_at_scale(size: tuple[int, int], um_per_px: float, model: TrainedModel) -> tuple[int, int]:
    """Give the height and width that an image of `um_per_px` has at the model's scale, one pixel at least."""
    height, width = (max(1, round(length * um_per_px / model.um_per_px)) for length in size)
    return height, width


def resize(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Shrink `(H, W)` or `(H, W, 3)` by area, or enlarge it bilinearly; pixel centres stay in place."""
    if array.shape[:2] == (height, width):
        return array
    shrinks = height <= array.shape[0] and width <= array.shape[1]
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _sum(
    model: TrainedModel, tiles: np.ndarray, device: object, symmetries: tuple[tuple[int, bool], ...]
) -> dict[str, np.ndarray]:
    """Add up the logits of tiles `(n, size, size, 3)` over symmetries, each `(n, C, size, size)`."""
    total: dict[str, np.ndarray] = {}
    for symmetry in symmetries:
        for name, maps in model.run(turn(tiles, symmetry), device).items():
            maps = turn_back(maps, symmetry)
            total[name] = total[name] + maps if name in total else maps
    return total


def _in_image(place: tuple[slice, slice], scale: tuple[float, float]) -> tuple[int, int, int, int]:
    """Give top, left, bottom and right, in pixels of the image, of a tile at the model's scale."""
    (top, bottom), (left, right) = (
        (math.floor(side.start * by), math.ceil(side.stop * by)) for side, by in zip(place, scale, strict=True)
    )
    return top, left, bottom, right


def _starts(length: int, size: int) -> list[int]:
    """Give where tiles begin along one side: evenly, from end to end, overlapping by `1 / OVERLAP` at least.

    >>> _starts(256, 256), _starts(600, 256)
    ([0], [0, 172, 344])
    """
    steps = math.ceil((length - size) / (size - size // OVERLAP))
    return [round(step * (length - size) / steps) for step in range(steps + 1)] if steps else [0]
