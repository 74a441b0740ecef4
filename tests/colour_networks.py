"""Networks that see colours alone, so that what they find is known, and pictures for them."""

import numpy as np
import torch
from torch import Tensor, nn

from helpers.normalization import normalize


class Darkness(nn.Module):
    """Stands in for a network: a dark pixel is a nucleus, whatever stands around it."""

    img_size, in_channels = 64, 3

    def __init__(self) -> None:
        super().__init__()
        self.tiles = 0

    def forward(self, images: Tensor) -> Tensor:
        """Give logits that are positive where the normalised green is below that of grey."""
        self.tiles += len(images)
        return 8 * (normalize(np.full((1, 1, 1, 3), 128, np.uint8))[0, 1] - images[:, 1:2])


class Redness(nn.Module):
    """Stands in for a network: its logit of a pixel is the pixel's normalised red."""

    img_size, in_channels = 64, 3

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits."""
        return images[:, :1]


class Tissue(Darkness):
    """Stands in for a network of several outputs: dark is nucleus, very dark its interior, and red its first kind."""

    kinds = ("Red", "Blue")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Give logits by name; the interior's are half of the nucleus's."""
        nuclei = super().forward(images)
        return {"nuclei": nuclei, "interior": nuclei, "kinds": torch.cat([images[:, :1], images[:, 2:]], dim=1)}


def discs(height: int, width: int, radius: int = 9, step: int = 40) -> np.ndarray:
    """Draw dark discs on a bright ground: the truth of what `Darkness` finds."""
    rows, columns = np.mgrid[:height, :width]
    near = (rows % step - step // 2) ** 2 + (columns % step - step // 2) ** 2 <= radius**2
    return near


def paint(truth: np.ndarray) -> np.ndarray:
    return np.where(truth[..., None], (70, 40, 120), (235, 220, 232)).astype(np.uint8)
