"""Beer-Lambert's law for stained tissue: from pixels to optical density, from density to haematoxylin and eosin.

A stain absorbs light exponentially, so brightness is no measure of how much of it is there, but optical density is:
the densities of two stains add up. Once pixels are densities, unmixing the stains is one small matrix product.

Reference:
    A. C. Ruifrok, D. A. Johnston (2001). Quantification of histochemical staining by color deconvolution.
    Analytical and Quantitative Cytology and Histology 23(4), 291-299. PMID 11531144.
"""

import numpy as np

from helpers.errors import InputError

WHITE = 256.0  # one more than the brightest pixel: with I + 1 above it, black stays finite and white is exactly 0


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Scale each row of `vectors` (K, 3) to length one.

    >>> unit_rows(np.array([[3.0, 0.0, 4.0]])).tolist()
    [[0.6, 0.0, 0.8]]
    """
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# What one unit of stain takes from red, green and blue; rows: haematoxylin, eosin. Ruifrok and Johnston's values in
# scikit-image's rounding, brought to length one so that a concentration is the length of a density vector.
STAIN_VECTORS = unit_rows(np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]]))


def optical_density(images: np.ndarray) -> np.ndarray:
    """Turn brightness I, uint8 RGB (..., 3), into optical density, -log10((I + 1) / 256).

    Returns:
        float32 (..., 3) from 0 (white) to 2.41 (black); finite for every pixel.

    Raises:
        InputError: another dtype, or a last axis that is not 3.

    >>> optical_density(np.array([[255, 255, 255]], np.uint8)).tolist()
    [[0.0, 0.0, 0.0]]
    """
    if images.dtype != np.uint8 or images.ndim < 1 or images.shape[-1] != 3:
        raise InputError(f"images: found {images.dtype} {images.shape}, expected uint8 (..., 3); convert them to RGB")
    # A table of 256 entries is the same function, many times faster than a logarithm a pixel.
    table = np.log10(WHITE / (np.arange(256) + 1.0)).astype(np.float32)
    return table[images]


def transmitted(density: np.ndarray) -> np.ndarray:
    """Turn optical density (..., 3) back into brightness, uint8 RGB: the inverse of `optical_density`, rounded.

    Densities below 0 come out white, those above 2.41 black.

    >>> transmitted(np.array([0.0, 0.30103, 3.0])).tolist()
    [255, 127, 0]
    """
    brightness = WHITE * np.power(10.0, -np.asarray(density)) - 1.0
    return np.clip(np.rint(brightness), 0, 255).astype(np.uint8)


def separate_stains(images: np.ndarray) -> np.ndarray:
    """Unmix H&E images into the concentrations of haematoxylin and eosin (colour deconvolution).

    Two stains span a plane in the space of densities. What a pixel holds beside that plane goes to a third vector at a
    right angle to both (their cross product) and is dropped, so the two concentrations are the least-squares fit.
    Images are uint8 RGB (..., H, W, 3).

    Returns:
        float32 (..., H, W, 2): haematoxylin, eosin, as optical density along the unit vectors of `STAIN_VECTORS`;
        0 on glass, never negative.

    Raises:
        InputError: as `optical_density`.

    Reference:
        Ruifrok and Johnston (2001), see above; the residual as in `skimage.color`.
    """
    residual = np.cross(STAIN_VECTORS[0], STAIN_VECTORS[1])
    unmixing = np.linalg.inv(np.vstack([STAIN_VECTORS, unit_rows(residual[None])]))[:, :2]  # (3 colours, 2 stains)
    return np.maximum(optical_density(images) @ unmixing.astype(np.float32), 0.0)
