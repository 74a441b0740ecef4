"""What the training tiles go through by chance, image and mask together, so that few tissues stand for many."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from helpers.config import AUGMENTATIONS
from helpers.errors import InputError
from helpers.stain import STAIN_VECTORS, WHITE

FLOOR = 1 / WHITE  # what is left of the light in a black pixel, so that its optical density is finite
# The share of a tile's side that is mirrored around it before each warp, so that no empty corner comes into view.
MARGIN = 0.25


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


class GridElastic(v2.Transform):
    """Bend a tile smoothly: random displacements on a coarse grid, bicubic in between.

    `v2.ElasticTransform` smooths noise with one large kernel instead, which takes ten times as long. The grid has
    `nodes` along each side; `sigma` is the standard deviation of the displacement at a node, as a share of the side.
    Masks `(..., H, W)` are read at the nearest pixel.

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
        names: of `config.AUGMENTATIONS`, in any order. The warps come first, for they look beyond the tile's border;
            then the others in the order of the constant.
        image_size: height and width of the tiles in pixels; the warps' distances grow with it.

    Returns:
        a transform of `(tv_tensors.Image, tv_tensors.Mask)`, uint8 or float in [0, 1]; the image comes out as float32.

    Raises:
        InputError: a name that is not known.
    """
    if unknown := set(names) - set(AUGMENTATIONS):
        raise InputError(f"augmentation {sorted(unknown)}: expected names among {', '.join(AUGMENTATIONS)}")
    margin = round(MARGIN * image_size)
    mirror = v2.Pad(margin, padding_mode="reflect")
    affine = v2.RandomAffine(10, scale=(0.8, 1.25), shear=5, interpolation=InterpolationMode.BILINEAR)
    warps = {
        # A margin of its own: without, the corners that it empties can come within reach of the elastic warp or the
        # crop, where it turns far and shrinks much.
        "scale": v2.Compose([mirror, affine, v2.CenterCrop(image_size + 2 * margin)]),
        "elastic": v2.RandomApply([GridElastic()], p=0.5),
    }
    others = {
        "flips": v2.Compose([v2.RandomHorizontalFlip(0.5), v2.RandomVerticalFlip(0.5)]),
        "turns": v2.RandomChoice([v2.RandomRotation((angle, angle)) for angle in (0, 90, 180, 270)]),
        "stain": v2.RandomApply([StainJitter()], p=0.8),
        "colour": v2.RandomApply([v2.ColorJitter(0.15, 0.15, 0.15, 0.03)], p=0.5),
        "blur": v2.RandomApply([v2.GaussianBlur(5, (0.1, 1.5))], p=0.2),
        "noise": v2.RandomApply([v2.GaussianNoise(sigma=0.03)], p=0.2),
    }
    steps = [v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)]
    if chosen := [step for name, step in warps.items() if name in names]:
        steps += [mirror, *chosen, v2.CenterCrop(image_size)]
    steps += [step for name, step in others.items() if name in names]
    return v2.Compose(steps)
