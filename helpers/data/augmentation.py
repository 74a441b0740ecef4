"""What the training tiles go through by chance, image and mask together, so that few tissues stand for many."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from helpers.config import AUGMENTATIONS
from helpers.errors import InputError
from helpers.stain import STAIN_VECTORS, WHITE

FLOOR = 1 / WHITE  # what is left of the light in a black pixel, so that its optical density is finite


class StainJitter(v2.Transform):
    """Vary how much of each stain a tile holds, in optical density, where the amounts of stains add up.

    Each of haematoxylin, eosin and what is left over is multiplied by a factor in 1 -+ `strength`, and at most `shift`
    of it, in optical density, is added or taken away. Images `(..., 3, H, W)` are float in [0, 1], and so they come
    out; masks pass unchanged.

    Reference:
        Tellez et al. 2018, Whole-slide mitosis detection in H&E breast histology, doi:10.1109/TMI.2018.2820199.
    """

    def __init__(self, strength: float = 0.25, shift: float = 0.03) -> None:
        super().__init__()
        self.strength, self.shift = strength, shift
        haematoxylin, eosin = torch.as_tensor(STAIN_VECTORS, dtype=torch.float32)
        residual = F.normalize(torch.linalg.cross(haematoxylin, eosin), dim=0)
        self.stains = torch.stack([haematoxylin, eosin, residual])  # rows: what a unit of each takes from R, G and B
        self.unmixing = torch.linalg.inv(self.stains)

    def make_params(self, flat_inputs: list) -> dict[str, Tensor]:
        """Draw a factor and a shift for each stain."""
        factors, shifts = torch.rand(2, 3) * 2 - 1
        return {"factors": 1 + self.strength * factors, "shifts": self.shift * shifts}

    def transform(self, inpt: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Change an image; leave a mask as it is."""
        if isinstance(inpt, tv_tensors.Mask):
            return inpt
        density = -torch.log10(inpt.as_subclass(Tensor).clamp(0, 1) * (1 - FLOOR) + FLOOR)
        # Unmix, scale and mix again: one 3 x 3 matrix.
        change = self.unmixing @ torch.diag(params["factors"]) @ self.stains
        density = torch.einsum("...chw,cd->...dhw", density, change)
        density = density + (params["shifts"] @ self.stains)[:, None, None]
        image = (10**-density - FLOOR) / (1 - FLOOR)
        return tv_tensors.wrap(image.clamp(0, 1), like=inpt)


class Warp(v2.Transform):
    """Turn, stretch, shear and bend a tile in one step; beyond its border it is mirrored.

    Images `(3, H, W)` float are read between pixels (bilinear), masks `(C, H, W)` at the nearest one. One step, because
    each reading between pixels blurs, and because OpenCV's takes a tenth of the time of two of torchvision's, which
    need a margin mirrored around the tile.

    Args:
        affine: turn by up to 10 degrees, zoom by 0.8 to 1.25, shear by up to 5 degrees along each axis.
        elastic: bend every other tile smoothly: random displacements at `nodes` x `nodes` points, bicubic in between,
            with a standard deviation of `sigma` of a side.

    Reference:
        Ronneberger, Fischer, Brox 2015, section 3.1, doi:10.1007/978-3-319-24574-4_28.
    """

    def __init__(self, affine: bool = True, elastic: bool = True, nodes: int = 6, sigma: float = 0.012) -> None:
        super().__init__()
        self.affine, self.elastic, self.nodes, self.sigma = affine, elastic, nodes, sigma

    def make_params(self, flat_inputs: list) -> dict[str, np.ndarray]:
        """Draw where each pixel `(H, W)` of the new tile is read in the old: columns and rows, float32."""
        height, width = flat_inputs[0].shape[-2:]
        angle, shear_x, shear_y = (torch.rand(3) * 2 - 1).numpy() * np.deg2rad([10, 5, 5])
        zoom, bends = float(torch.empty(()).uniform_(0.8, 1.25)), bool(torch.rand(()) < 0.5)
        nodes = torch.randn(1, 2, self.nodes, self.nodes) * self.sigma
        rows, columns = np.indices((height, width), np.float32)
        if self.affine:
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            slant = np.array([[1, np.tan(shear_x)], [np.tan(shear_y), 1]])
            matrix = np.linalg.inv(turn @ slant * zoom).astype(np.float32)
            x, y = columns - (width - 1) / 2, rows - (height - 1) / 2
            columns = matrix[0, 0] * x + matrix[0, 1] * y + np.float32((width - 1) / 2)
            rows = matrix[1, 0] * x + matrix[1, 1] * y + np.float32((height - 1) / 2)
        if self.elastic and bends:
            shifts = F.interpolate(nodes, size=(height, width), mode="bicubic", align_corners=True)[0].numpy()
            columns, rows = columns + shifts[0] * width, rows + shifts[1] * height
        return {"columns": columns, "rows": rows}

    def transform(self, inpt: Tensor, params: dict[str, np.ndarray]) -> Tensor:
        """Warp an image or a mask."""
        how = cv2.INTER_NEAREST if isinstance(inpt, tv_tensors.Mask) else cv2.INTER_LINEAR
        # OpenCV takes channels last, and drops the axis of a single one.
        pixels = np.ascontiguousarray(inpt.as_subclass(Tensor).movedim(0, -1).numpy())
        warped = cv2.remap(pixels, params["columns"], params["rows"], how, borderMode=cv2.BORDER_REFLECT_101)
        return tv_tensors.wrap(torch.from_numpy(warped.reshape(pixels.shape)).movedim(-1, 0), like=inpt)


def build_augmentation(names: Sequence[str]) -> v2.Transform:
    """Build the joint transform of image and mask that a recipe names.

    Args:
        names: of `config.AUGMENTATIONS`, in any order. The warp comes first, then the others in the order of the
            constant.

    Returns:
        a transform of `(tv_tensors.Image, tv_tensors.Mask)`, uint8 or float in [0, 1]; the image comes out as float32.

    Raises:
        InputError: a name that is not known.
    """
    if unknown := set(names) - set(AUGMENTATIONS):
        raise InputError(f"augmentation {sorted(unknown)}: expected names among {', '.join(AUGMENTATIONS)}")
    others = {
        "flips": v2.Compose([v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5)]),
        "turns": v2.RandomChoice([v2.RandomRotation((angle, angle)) for angle in (0, 90, 180, 270)]),
        "stain": v2.RandomApply([StainJitter()], p=0.8),
        "colour": v2.RandomApply([v2.ColorJitter(0.15, 0.15, 0.15, 0.03)], p=0.5),
        "blur": v2.RandomApply([v2.GaussianBlur(5, (0.1, 1.5))], p=0.2),
        "noise": v2.RandomApply([v2.GaussianNoise(sigma=0.03)], p=0.2),
    }
    steps = [v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)]
    if {"scale", "elastic"}.intersection(names):
        steps.append(Warp("scale" in names, "elastic" in names))
    steps += [step for name, step in others.items() if name in names]
    return v2.Compose(steps)
