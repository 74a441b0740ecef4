"""What covering each part of an image costs: slow, but it asks the network alone, and no gradient.

Reference:
    Zeiler, Fergus 2014, Visualizing and understanding convolutional networks, doi:10.1007/978-3-319-10590-1_53.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as transforms

from helpers.explanation.grad_cam import check_region, predicted_region, region_logits, scale_heat
from helpers.model import EfficientNetSegmentation

WINDOWS = 8  # a side: what is covered at once is 1/8 of the tile high and wide, about a nucleus in PanNuke's tiles
TOGETHER = 16  # covered images prepared at once


def occlusion_map(
    model: EfficientNetSegmentation,
    image: Tensor,
    region: Tensor | None = None,
    overlap: int = 2,
    against: bool = False,
) -> Tensor:
    """Compute what covering each part of an image costs a region, as `occlusion_losses`, scaled to a maximum of 1.

    Arguments and errors are those of `occlusion_losses`; the map is `(H, W)` float32, 0 to 1, on the CPU.
    """
    return scale_heat(occlusion_losses(model, image, region, overlap, against))


@torch.inference_mode(False)  # a caller's own would follow the map to wherever it is used
@torch.no_grad()
def occlusion_losses(
    model: EfficientNetSegmentation,
    image: Tensor,
    region: Tensor | None = None,
    overlap: int = 2,
    against: bool = False,
) -> Tensor:
    """Measure what covering each part of an image costs a region: slow, but it asks the network alone, no gradient.

    A window of 1/8 of the image's height and width slides over it and shows the blurred image instead. The map is the
    drop of the region's summed logits, mean over the windows that cover a pixel; where the sum rises it is 0.

    Args:
        model: the network; it is left as it was found.
        image: `(1, 3, H, W)` float, normalised.
        region: as in `grad_cams`.
        overlap: windows that cover a pixel along each side; 1 is four times as fast as 2, and coarser.
        against: ask what speaks against nuclei in the region, that is, for background.

    Returns:
        `(H, W)` float32, logits lost, 0 or more, on the CPU.

    Raises:
        ValueError: more than one image, or a region of another size.
    """
    check_region(image, region)
    size = image.shape[2:]
    rows, columns = ([*_windows(length, overlap)] for length in size)
    windows = [(row, column) for row in rows for column in columns]
    region = predicted_region(model, image) if region is None else region
    whole, hidden = region_logits(model, image, region), blurred(image)
    drop, times = torch.zeros(size), torch.zeros(size)
    for start in range(0, len(windows), TOGETHER):
        some = windows[start : start + TOGETHER]
        covered = image.repeat(len(some), 1, 1, 1)
        for one, (row, column) in zip(covered, some, strict=True):
            one[:, row, column] = hidden[0, :, row, column]
        for (row, column), logits in zip(some, region_logits(model, covered, region), strict=True):
            drop[row, column] += whole[0] - logits
            times[row, column] += 1
    return F.relu(drop / times * (-1 if against else 1))


def blurred(image: Tensor) -> Tensor:
    """Blur `(B, 3, H, W)` images until no nucleus is left, but the tile's colours still are."""
    sigma = min(image.shape[2:]) / WINDOWS
    kernel = 2 * round(2 * sigma) + 1
    # A Gaussian is separable, and so large a one pays: two passes of one dimension.
    rows = transforms.gaussian_blur(image, [1, kernel], [sigma, sigma])
    return transforms.gaussian_blur(rows, [kernel, 1], [sigma, sigma])


def _windows(length: int, overlap: int) -> Iterator[slice]:
    """Give the windows along one side, so that each pixel is in `overlap` of them, or one more where sides are odd."""
    side = max(overlap, round(length / WINDOWS))
    step = side // overlap
    for start in range(step - side, length, step):
        yield slice(max(0, start), start + side)
