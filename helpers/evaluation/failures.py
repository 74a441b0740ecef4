"""Where the network fails, and which of the causes that can be computed are at hand there."""

import re

import cv2
import numpy as np

from helpers.stain import separate_stains

WORST_SHARE = 0.1  # of the tiles with nuclei, by Dice: "the worst"
TAIL = 0.2  # a tile is pale, blurred or crowded if it is among this share of all
FEW_NUCLEI = 3  # at most
OUTLINE = 2  # pixels: at 0.25 um/px half a micrometre
CAUSES = ("few nuclei", "pale stain", "blur", "crowding")


def find_worst(dice: np.ndarray) -> np.ndarray:
    """Choose the tenth of the tiles with the lowest Dice: `(N,)` bool. A tile without nuclei (NaN) is none of them."""
    known = np.flatnonzero(~np.isnan(dice))
    worst = np.zeros(len(dice), bool)
    worst[known[np.argsort(dice[known], kind="stable")][: int(np.ceil(WORST_SHARE * len(known)))]] = True
    return worst


def find_causes(images: np.ndarray, truth: np.ndarray, nuclei: np.ndarray) -> dict[str, np.ndarray]:
    """Tell for each tile which possible cause of failure it shows. All are measured on image and truth, not on errors.

    Args:
        images: `(N, H, W, 3)` uint8.
        truth: `(N, H, W)` bool.
        nuclei: `(N,)` nuclei in each tile.

    Returns:
        `CAUSES` to `(N,)` bool: `FEW_NUCLEI` at most; among the `TAIL` with the least haematoxylin in nuclei over
        background; with the least sharpness, the variance of the Laplacian (Pech-Pacheco et al. 2000,
        doi:10.1109/ICPR.2000.903548); with the largest share of nuclei pixels.
    """
    occupied = truth.any((1, 2))
    contrast = np.array([_contrast(*pair) for pair in zip(images, truth, strict=True)])
    sharpness = np.array([_sharpness(image) for image in images])
    crowding = truth.mean((1, 2))
    causes = (nuclei <= FEW_NUCLEI, _lowest(contrast), _lowest(sharpness), _lowest(-crowding))
    return {name: found & occupied for name, found in zip(CAUSES, causes, strict=True)}


def count_causes(dice: np.ndarray, causes: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Count each cause among the worst tiles and among all, and set the Dice of tiles with it beside those without.

    Args:
        dice: `(N,)`, NaN for a tile without nuclei.
        causes: as from `find_causes`.

    Returns:
        cause to `n`, `n_worst`, `share` and `share_worst` (of tiles with nuclei), `dice_with`, `dice_without`; beside
        them "none of these".
    """
    known, worst = ~np.isnan(dice), find_worst(dice)
    causes = causes | {"none of these": ~np.any([*causes.values()], axis=0)}
    return {
        name: {
            "n": int((found & known).sum()),
            "n_worst": int((found & worst).sum()),
            "share": _mean(found[known]),
            "share_worst": _mean(found[worst]),
            "dice_with": _mean(dice[found & known]),
            "dice_without": _mean(dice[~found & known]),
        }
        for name, found in causes.items()
    }


def near_outlines(truth: np.ndarray) -> np.ndarray:
    """Mark the pixels within `OUTLINE` pixels of the true outline, on either side of it.

    Args:
        truth: `(N, H, W)` bool.

    Returns:
        `(N, H, W)` bool. The border of a tile is no outline.
    """
    kernel = np.ones((2 * OUTLINE + 1,) * 2, np.uint8)
    masks = truth.astype(np.uint8)
    return np.array([cv2.dilate(mask, kernel) != cv2.erode(mask, kernel) for mask in masks])


def source_of(group: str) -> str:
    """Name the data set that a group comes from: what stands in its name before the first hyphen, dot or digit.

    >>> source_of("nuinsseg-07"), source_of("consep-train_3"), source_of("TCGA-18-5592-01Z-00-DX1")
    ('nuinsseg', 'consep', 'TCGA')
    """
    return re.split(r"[-._\d]", group, maxsplit=1)[0] or group


def _contrast(image: np.ndarray, truth: np.ndarray) -> float:
    """Give how much more haematoxylin, in optical density, nuclei hold than background; NaN where one is missing."""
    haematoxylin = separate_stains(image)[..., 0]
    return _mean(haematoxylin[truth]) - _mean(haematoxylin[~truth])


def _sharpness(image: np.ndarray) -> float:
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def _lowest(values: np.ndarray) -> np.ndarray:
    """Mark the `TAIL` of lowest values, NaN aside."""
    return values <= np.nanquantile(values, TAIL) if not np.isnan(values).all() else np.zeros(len(values), bool)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
