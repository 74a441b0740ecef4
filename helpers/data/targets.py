"""What a network learns of single nuclei, computed from label maps when a tile is served."""

import cv2
import numpy as np

RING = 2.0  # pixels; two nuclei that touch are then at least four apart, which a network can draw


def interior_map(instances: np.ndarray) -> np.ndarray:
    """Mark what is left of each nucleus when a ring of `RING` pixels is taken off: the interiors of nuclei never touch.

    Args:
        instances: `(H, W)` label map of whole numbers, 0 for background. Its border is no outline: a nucleus that it
            cuts goes on beyond.

    Returns:
        `(1, H, W)` float32, 0 and 1.

    Reference:
        Caicedo et al. 2019, doi:10.1002/cyto.a.23863 (interior, boundary and background as classes).

    >>> interior_map(np.array([[3, 3, 3, 3, 8, 8, 8, 8]]))[0].tolist()
    [[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]]
    """
    within = (instances > 0).astype(np.uint8)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        same = instances[one] == instances[other]
        within[one] *= same
        within[other] *= same
    if within.all():  # one nucleus all over: OpenCV would measure to nothing
        return np.ones((1, *instances.shape), np.float32)
    # From the pixels along the outline, which lie 1 deep.
    depth = cv2.distanceTransform(within, cv2.DIST_L2, cv2.DIST_MASK_5) + 1
    return ((depth > RING) & (instances > 0)).astype(np.float32)[None]
