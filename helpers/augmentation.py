"""What the training tiles go through by chance, image and mask together, so that few tissues stand for many."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from helpers.config import AUGMENTATIONS
from helpers.errors import InputError
from helpers.stain import STAIN_VECTORS

WHITE_FLOOR = 1 / 256  # keeps the optical density of black finite
# The share of a tile's side that is mirrored around it before it is warped, so that no empty corner turns into view.
MARGIN = 0.25


class StainJitter(v2.Transform):
    """Vary how much of each stain a tile holds, in optical density, where the amounts of stains add up.

    Args:
        strength: each of haematoxylin, eosin and what is left over is multiplied by a factor in 1 -+ `strength`.
        shift: and this much of it, in optical density, is added or taken away at most.

    Shape:
        images `(..., 3, H, W)` float in [0, 1], and so they come out; masks pass unchanged.

    Reference:
        Tellez et al. 2018, Whole-slide mitosis detection in H&E breast histology, doi:10.1109/TMI.2018.2820199.
    """

    def __init__(self, strength: float = 0.25, shift: float = 0.03) -> None:
        super().__init__()
        self.strength, self.shift = strength, shift
        haematoxylin, eosin = torch.as_tensor(STAIN_VECTORS, dtype=torch.float32)
        residual = F.normalize(torch.linalg.cross(haematoxylin, eosin), dim=0)
        self.stains = torch.stack([haematoxylin, eosin, residual])  # rows: what a unit of each takes from R, G and B

    def make_params(self, flat_inputs: list) -> dict[str, Tensor]:
        """Draw a factor and a shift for each stain."""
        factors, shifts = torch.rand(2, 3) * 2 - 1
        return {"factors": 1 + self.strength * factors, "shifts": self.shift * shifts}

    def transform(self, inpt: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Change an image; leave a mask as it is."""
        if isinstance(inpt, tv_tensors.Mask):
            return inpt
        density = -torch.log10(inpt.as_subclass(Tensor).clamp(0, 1) * (1 - WHITE_FLOOR) + WHITE_FLOOR)
        # Unmix, scale and mix again: one 3 x 3 matrix.
        change = torch.linalg.inv(self.stains) @ torch.diag(params["factors"]) @ self.stains
        density = torch.einsum("...chw,cd->...dhw", density, change)
        density = density + (params["shifts"] @ self.stains)[:, None, None]
        image = (10 ** -density - WHITE_FLOOR) / (1 - WHITE_FLOOR)
        return tv_tensors.wrap(image.clamp(0, 1), like=inpt)


class GridElastic(v2.Transform):
    """Bend a tile smoothly: random displacements on a coarse grid, bicubic in between.

    `v2.ElasticTransform` smooths noise with one large kernel instead, which takes ten times as long.

    Args:
        nodes: nodes of the grid along each side.
        sigma: standard deviation of the displacement at a node, as a share of the side.

    Shape:
        images and masks `(..., H, W)`; masks are read at the nearest pixel.

    Reference:
        Ronneberger, Fischer, Brox 2015, section 3.1, doi:10.1007/978-3-319-24574-4_28.
    """

    def __init__(self, nodes: int = 6, sigma: float = 0.012) -> None:
        super().__init__()
        self.nodes, self.sigma = nodes, sigma

    def make_params(self, flat_inputs: list) -> dict[str, Tensor]:
        """Draw a displacement for each pixel, in the units of `grid_sample`, in which a side is 2 long."""
        nodes = torch.randn(1, 2, self.nodes, self.nodes) * 2 * self.sigma
        field = F.interpolate(nodes, size=flat_inputs[0].shape[-2:], mode="bicubic", align_corners=True)
        return {"displacement": field.permute(0, 2, 3, 1)}

    def transform(self, inpt: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Bend an image or a mask."""
        return v2.functional.elastic(inpt, params["displacement"])


def build_augmentation(names: Sequence[str], image_size: int) -> v2.Transform:
    """Build the joint transform of image and mask that a recipe names.

    Args:
        names: of `config.AUGMENTATIONS`, in any order; they are applied in that of the constant.
        image_size: height and width of the tiles in pixels; distances grow with it.

    Returns:
        a transform of `(tv_tensors.Image, tv_tensors.Mask)`, uint8 or float in [0, 1]; the image comes out as float32.

    Raises:
        InputError: a name that is not known.
    """
    if unknown := set(names) - set(AUGMENTATIONS):
        raise InputError(f"augmentation {sorted(unknown)}: expected names among {', '.join(AUGMENTATIONS)}")
    margin = round(MARGIN * image_size)
    warped = {"scale", "elastic"} & set(names)
    steps = [
        v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
        *([v2.Pad(margin, padding_mode="reflect")] if warped else []),
        *(_STEPS[name](image_size) for name in AUGMENTATIONS if name in names and name in WARPS),
        *([v2.CenterCrop(image_size)] if warped else []),
        *(_STEPS[name](image_size) for name in AUGMENTATIONS if name in names and name not in WARPS),
    ]
    return v2.Compose(steps)


def _scale(image_size: int) -> v2.Transform:
    return v2.RandomAffine(10, scale=(0.8, 1.25), shear=5, interpolation=InterpolationMode.BILINEAR)


WARPS = ("scale", "elastic")
_STEPS: dict[str, Callable[[int], v2.Transform]] = {
    "flips": lambda _: v2.Compose([v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5)]),
    "turns": lambda _: v2.RandomChoice([v2.RandomRotation((angle, angle)) for angle in (0, 90, 180, 270)]),
    "scale": _scale,
    "elastic": lambda _: v2.RandomApply([GridElastic()], p=0.5),
    "stain": lambda _: v2.RandomApply([StainJitter()], p=0.8),
    "colour": lambda _: v2.RandomApply([v2.ColorJitter(0.15, 0.15, 0.15, 0.03)], p=0.5),
    "blur": lambda _: v2.RandomApply([v2.GaussianBlur(5, (0.1, 1.5))], p=0.2),
    "noise": lambda _: v2.RandomApply([v2.GaussianNoise(sigma=0.03)], p=0.2),
}
