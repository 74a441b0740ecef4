"""What of a picture is no tissue: transparent, or black beyond a slide's edge."""

import cv2
import numpy as np

from helpers.pictures.picture import compose

BLACK = 8  # in every channel: JPEG makes black as bright as this
FEWEST = 64  # pixels of black; the darkest spots that touch the border of a training tile have one
FRINGE = 4  # pixels around it in which JPEG and resampling mix black and tissue


def find_outside(image: np.ndarray) -> np.ndarray:
    """Find what is no tissue: black or transparent areas that touch the border, and a fringe around them.

    A block of a slide is judged like a picture: black within the tissue counts where the block's border cuts it.

    Args:
        image: `(H, W, 3)` or `(H, W, 4)` uint8.

    Returns:
        `(H, W)` bool.
    """
    if not any(_is_empty(edge).any() for edge in (image[0], image[-1], image[:, 0], image[:, -1])):
        return np.zeros(image.shape[:2], bool)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(_is_empty(image).astype(np.uint8), connectivity=8)
    chosen = facts[:, cv2.CC_STAT_AREA] >= FEWEST
    chosen[0] = False  # all that is not empty
    touching = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    chosen &= np.bincount(touching, minlength=len(chosen)) > 0
    fringe = np.ones((2 * FRINGE + 1, 2 * FRINGE + 1), np.uint8)
    return cv2.dilate(chosen[labels].astype(np.uint8), fringe) > 0


def fill_outside(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirror the tissue over what is no tissue, so that the tissue beside it is not disturbed.

    Args:
        image: `(H, W, 3)` or `(H, W, 4)` uint8.

    Returns:
        the filled picture `(H, W, 3)` uint8, and what is no tissue `(H, W)` bool, as `find_outside` gives it.
    """
    outside, image = find_outside(image), compose(image)
    if not outside.any() or outside.all():
        return image, outside
    # Labels number the pixels of tissue from 1, row by row, and each pixel bears that of the nearest.
    _, labels = cv2.distanceTransformWithLabels(
        outside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.argwhere(outside)
    nearest = np.argwhere(~outside)[labels[outside] - 1]
    mirrored = np.clip(2 * nearest - places, 0, np.array(outside.shape) - 1)
    source = np.where(outside[tuple(mirrored.T)][:, None], nearest, mirrored)
    filled = image.copy()
    filled[outside] = image[tuple(source.T)]
    return filled, outside


def _is_empty(pixels: np.ndarray) -> np.ndarray:
    """Tell which pixels `(..., 3)` or `(..., 4)` are black or transparent."""
    black = (pixels[..., :3] <= BLACK).all(-1)
    return black | (pixels[..., 3] == 0) if pixels.shape[-1] == 4 else black
