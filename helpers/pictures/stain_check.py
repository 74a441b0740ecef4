"""Do the colours of a picture look like H&E, and would they with red and blue swapped?

Both questions are asked of the optical density of stained pixels (`helpers.stain`), where amounts of stain add up:

- Haematoxylin and eosin both take more from green than from red or blue. Grey takes the same from all three; brown
  (DAB), green, blue and orange take most from another. Swapping red and blue does not change the answer.
- Haematoxylin, and with it the dense nuclei, takes more from red than from blue; eosin takes more from blue, so blue
  follows green. Swapping red and blue turns the sign of both.

The limits come from the 1,577 training tiles of the shipped model and nothing else; the tests count them again.
"""

import numpy as np

from helpers.stain import optical_density

GRID = 64  # at least so many rows and columns of a larger picture are looked at
STAINED, DENSE = 0.3, 0.6  # density of the three colours together from which a pixel is looked at; clear glass is below
SHARE, FEWEST = 0.05, 4096  # such pixels, as a share of the tissue and in number: with fewer there is nothing to say
# The lead of green, from -1 to 1: 0 for grey. Of 1,431 training tiles with enough dense pixels nine are below, all with
# blue ink on them; the others have 0.026 or more.
GREEN_LEADS = 0.013
DARK = 32  # the middle brightness, 0 to 255: fluorescence lies below, no training tile below 54
# The order of red and blue, from -3 to 3: of 1,537 training tiles with enough stain the lowest has -0.10;
# swapped, 1,494 are below this limit.
IN_ORDER = -0.12
HARDLY = 0.05  # added to densities before their ratio is taken, so that hardly stained pixels count little
TWO_STAINS = 0.07  # deviation of the logarithm of red over blue: 99.9 % of the training tiles have 0.09 or more


def doubt_stain(image: np.ndarray, tissue: np.ndarray) -> str:
    """Say in a sentence why the colours of a picture cannot be those of H&E, or nothing where they may be.

    Args:
        image: `(H, W, 3)` uint8, RGB.
        tissue: `(H, W)` bool, the pixels that count.
    """
    grid = tuple(slice(None, None, max(1, length // GRID)) for length in tissue.shape)
    pixels = image[grid][tissue[grid]]  # (N, 3)
    density = optical_density(pixels)
    total = density.sum(1)
    enough = max(SHARE, FEWEST / max(1, np.count_nonzero(tissue))) * len(total)
    stained, dense = density[total > STAINED], density[total > DENSE]
    if len(dense) > enough:
        lead = green_lead(dense)
        if lead < GREEN_LEADS or np.median(pixels.max(1)) < DARK:
            return (
                "the colours are not those of haematoxylin and eosin, which take most from green (here by "
                f"{lead:.3f}, expected {GREEN_LEADS} or more): a grey picture, fluorescence, another stain, a "
                "photograph, or ink? The model knows nothing else, so do not trust this mask"
            )
    if len(stained) > enough:
        order = red_blue_order(stained)
        if order < IN_ORDER:
            return (
                "red and blue seem to be swapped: the colours look more like haematoxylin and eosin the other way "
                f"round ({-order:.2f} against {order:.2f}). OpenCV reads pictures as BGR; if so, give image[..., ::-1]"
            )
    return ""


def green_lead(density: np.ndarray) -> float:
    """Tell by how much green is absorbed more than red and blue, as a share of all that is absorbed.

    Args:
        density: `(N, 3)` optical density of red, green and blue.

    >>> round(green_lead(np.array([[0.5, 0.75, 0.25], [0.25, 0.75, 0.5]])), 3)
    0.167
    """
    return float((density[:, 1] - density[:, ::2].max(1)).sum() / density.sum())


def red_blue_order(density: np.ndarray) -> float:
    """Tell whether red and blue stand as in H&E (above 0) or swapped (below): two differences of correlations.

    The first is of the density of red and blue together with the logarithm of their ratio: nuclei are dense, and take
    more from red. The second is of green with blue, less that of green with red. Swapped, each changes its sign.

    Args:
        density: `(N, 3)` optical density of red, green and blue.

    Returns:
        -3 to 3; 0 where a single stain tells nothing.
    """
    red, green, blue = density.T
    ratio = np.log((red + HARDLY) / (blue + HARDLY))
    if ratio.std() < TWO_STAINS:
        return 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.corrcoef([red, green, blue, red + blue, ratio])
    return float(found[3, 4] + found[1, 2] - found[0, 1])
