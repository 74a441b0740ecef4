"""Scale and changing size: images by area, labels by nearest neighbour or by majority, probabilities bilinearly."""

import cv2
import numpy as np
from scipy import ndimage

from helpers.config import CLASS_NAMES, LABEL_RULES, SCALES, TILE_SIZE
from helpers.errors import InputError
from helpers.paths import to_number


def check_image_size(image_size: int) -> None:
    """Refuse a size that tiles cannot be shrunk to, with an InputError."""
    if not 32 <= image_size <= TILE_SIZE:
        raise InputError(f"image size {image_size}: expected 32 to {TILE_SIZE} pixels, the size of a tile")


def check_scale(um_per_px: float | str) -> float:
    """Give a picture's scale as a number; an InputError unless it is one within `config.SCALES`, or the text of one."""
    if not SCALES[0] <= (number := to_number(um_per_px)) <= SCALES[1]:
        raise InputError(
            f"um_per_px: expected {SCALES[0]} to {SCALES[1]} micrometres a pixel (0.25 at 40x, 0.5 at 20x), "
            f"found {um_per_px!r}; give its number, which the slide's properties tell, or resample the image"
        )
    return number


def shrink_images(images: np.ndarray, image_size: int) -> np.ndarray:
    """Shrink images by the mean over the area of each new pixel.

    Args:
        images: `(n, H, W, 3)` uint8.
        image_size: new height and width in pixels.

    Returns:
        `(n, image_size, image_size, 3)` uint8.
    """
    return np.stack([cv2.resize(image, (image_size, image_size), interpolation=cv2.INTER_AREA) for image in images])


def shrink_class_maps(class_maps: np.ndarray, image_size: int, labels: str) -> np.ndarray:
    """Shrink class maps.

    `"nearest"` is what the report does. OpenCV then takes the top left pixel of each 2 x 2 block, while `shrink_images`
    takes the mean of the block, so nuclei come to sit half a full-size pixel down and right of where the images show
    them. `"majority"` keeps them aligned: a new pixel is nucleus where at least half of its area is, of the class that
    covers most of it.

    Args:
        class_maps: `(n, H, W)` uint8, 0 for background.
        image_size: new height and width in pixels.
        labels: "nearest" or "majority".

    Returns:
        `(n, image_size, image_size)` uint8.

    >>> block = np.array([[[0, 3], [3, 3]]], np.uint8)
    >>> shrink_class_maps(block, 1, "nearest").item(), shrink_class_maps(block, 1, "majority").item()
    (0, 3)
    """
    if labels == "nearest":
        return np.stack([_resize(class_map, image_size, cv2.INTER_NEAREST) for class_map in class_maps])
    if labels != "majority":
        raise InputError(f"labels {labels!r}: expected one of {', '.join(LABEL_RULES)}")
    shrunk = np.zeros((len(class_maps), image_size, image_size), np.uint8)
    for class_map, out in zip(class_maps, shrunk, strict=True):
        shares = [
            _resize((class_map == value).astype(np.float32), image_size, cv2.INTER_AREA)
            for value in range(1, len(CLASS_NAMES) + 1)
        ]
        # Areas are sums of products of floats: a share of exactly one half may come out a little below it.
        out[:] = np.where(np.sum(shares, 0) >= 0.5 - 1e-5, np.argmax(shares, 0) + 1, 0)
    return shrunk


def shrink_instances(instances: np.ndarray, class_maps: np.ndarray, labels: str) -> np.ndarray:
    """Shrink label maps to the size of shrunk class maps, which say where nuclei are.

    A pixel gets the number that stands where it is read, at the pixel that "nearest" takes or in the middle of its
    area, and where background stands there, that of the nearest nucleus.

    Args:
        instances: `(n, H, W)` int, 0 for background, one number a nucleus.
        class_maps: `(n, h, w)`, shrunk by `shrink_class_maps`.
        labels: the rule by which they were.

    Returns:
        `(n, h, w)` of the same dtype.

    >>> shrink_instances(np.array([[[0, 7], [0, 0]]]), np.array([[[1]]]), "majority").item()
    7
    """
    if instances.shape == class_maps.shape:
        return instances
    offset = 0 if labels == "nearest" else 0.5
    rows, columns = (
        ((np.arange(new) + offset) * old / new).astype(int)
        for new, old in zip(class_maps.shape[1:], instances.shape[1:], strict=True)
    )
    shrunk = np.zeros(class_maps.shape, instances.dtype)
    for whole, class_map, out in zip(instances, class_maps, shrunk, strict=True):
        read = whole[np.ix_(rows, columns)]
        if (read[class_map > 0] == 0).any():
            nearest = ndimage.distance_transform_edt(whole == 0, return_distances=False, return_indices=True)
            read = whole[tuple(nearest)][np.ix_(rows, columns)]
        out[:] = np.where(class_map > 0, read, 0)
    return shrunk


def enlarge_probabilities(probabilities: np.ndarray, size: int) -> np.ndarray:
    """Enlarge probability maps bilinearly, pixel centres kept in place.

    Args:
        probabilities: `(n, h, w)` float32.
        size: new height and width in pixels.

    Returns:
        `(n, size, size)` float32.
    """
    return np.stack([_resize(probability, size, cv2.INTER_LINEAR) for probability in probabilities])


def _resize(array: np.ndarray, size: int, interpolation: int) -> np.ndarray:
    return cv2.resize(array, (size, size), interpolation=interpolation)
