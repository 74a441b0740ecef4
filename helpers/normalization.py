"""From RGB bytes to what the network expects, and back."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from helpers.config import IMAGENET_MEAN, IMAGENET_STD

NORMALIZE = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)])


def normalize(images: np.ndarray) -> Tensor:
    """Turn RGB images into what the network expects: [0, 1], then ImageNet's mean and standard deviation.

    Args:
        images: `(N, H, W, 3)` uint8.

    Returns:
        `(N, 3, H, W)` float32.
    """
    # A copy: torch warns of arrays that may only be read, such as a slice of the cache.
    return NORMALIZE(torch.from_numpy(np.array(images, order="C")).permute(0, 3, 1, 2))


def denormalize(images: Tensor) -> np.ndarray:
    """Undo `normalize`, for drawing: `(N, 3, H, W)` float to `(N, H, W, 3)` uint8."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((images.cpu() * std + mean).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
