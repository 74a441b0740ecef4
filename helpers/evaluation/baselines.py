"""What needs no learning: a result means something only beside these."""

import cv2
import numpy as np

from helpers.stain import separate_stains

DARKEST_SHARE = 0.2  # nuclei cover about a fifth of a tile


def otsu_haematoxylin(image: np.ndarray) -> np.ndarray:
    """Call nuclei the pixels with much haematoxylin, by Otsu's threshold over the image.

    Args:
        image: `(H, W, 3)` uint8, RGB.

    Returns:
        `(H, W)` bool; nothing where the whole image holds one amount of the stain, as on glass.

    Reference:
        Otsu 1979, doi:10.1109/TSMC.1979.4310076; haematoxylin by `stain.separate_stains`.
    """
    haematoxylin = separate_stains(image)[..., 0]
    low, high = np.percentile(haematoxylin, [0.1, 99.9])  # single odd pixels must not stretch the grey levels
    if high <= low:
        return np.zeros(haematoxylin.shape, bool)
    levels = np.clip((haematoxylin - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return levels > threshold


def darkest_fifth(image: np.ndarray) -> np.ndarray:
    """Call nuclei the darkest fifth of the pixels, by the mean of red, green and blue.

    Args:
        image: `(H, W, 3)` uint8, RGB.

    Returns:
        `(H, W)` bool; fewer than a fifth where many pixels are equally bright, none in a blank image.
    """
    brightness = image.mean(-1)
    return brightness < np.quantile(brightness, DARKEST_SHARE)


BASELINES = {"otsu_haematoxylin": otsu_haematoxylin, "darkest_fifth": darkest_fifth}
