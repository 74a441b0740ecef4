"""The losses: weighted binary cross-entropy plus soft Dice of nuclei, and those of kinds and interiors beside it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.errors import InputError, check_unit_range

SMOOTH = 1.0  # pixels added to both sides of the Dice fraction: defined, and 1, where truth and prediction are empty


class BinarySegLoss(nn.Module):
    """Binary cross-entropy and Dice loss on logits, a mean over images.

    For one image with truth y, probability p = sigmoid(logit) and weight w, the class weight of the pixel's true class,
    on the outline of nuclei times 1 + boundary_weight:

        L = bce_weight * mean(w * BCE(p, y)) + dice_weight * (1 - (2 * sum(p * y) + 1) / (sum(p) + sum(y) + 1))

    It is computed in float32 whatever the autocast: sums over a tile overflow in float16.

    Args:
        class_weights: `(2,)`, weights of background and nuclei, in that order; None for equal ones.
        bce_weight: weight of the cross-entropy.
        dice_weight: weight of the Dice loss.
        boundary_weight: how much more the outline counts in the cross-entropy: the pixels of nuclei that touch
            background and those of background that touch nuclei, corners included.

    Raises:
        ValueError: class weights that are not two positive numbers.

    Shape:
        logits `(B, 1, H, W)`, masks `(B, 1, H, W)` with values 0 and 1, or between them where labels are soft; the
        result is a scalar. Values outside 0 to 1, as in a mask of 0 and 255, are refused with an InputError.

    Reference:
        Milletari, Navab, Ahmadi 2016, V-Net, doi:10.1109/3DV.2016.79 (Dice loss; here without its squares).
        Ronneberger, Fischer, Brox 2015, U-Net, eq. 2, doi:10.1007/978-3-319-24574-4_28 (weights near outlines, there
        falling off with the distances to two nuclei; a binary mask knows no single nuclei, so here a band has one).

    >>> loss = BinarySegLoss(bce_weight=0.0)
    >>> float(loss(torch.full((1, 1, 2, 2), -100.0), torch.zeros(1, 1, 2, 2)))  # empty, and predicted empty
    0.0
    """

    def __init__(
        self,
        class_weights: Tensor | None = None,
        bce_weight: float = 1.0,
        dice_weight: float = 1.0,
        boundary_weight: float = 0.0,
    ) -> None:
        super().__init__()
        weights = torch.ones(2) if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)
        if weights.shape != (2,) or not bool((weights > 0).all()):
            raise ValueError(f"class_weights: expected two positive numbers, background and nuclei, found {weights}")
        self.register_buffer("class_weights", weights)
        self.bce_weight, self.dice_weight, self.boundary_weight = bce_weight, dice_weight, boundary_weight

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Compute the loss of a batch as a float32 scalar."""
        if logits.shape != masks.shape:
            raise ValueError(f"expected logits and masks of one shape, found {logits.shape} and {masks.shape}")
        check_masks(masks)
        with torch.autocast(logits.device.type, enabled=False):
            logits, masks = logits.float(), masks.float()
            background, nuclei = self.class_weights.to(logits.device)
            weights = torch.lerp(background, nuclei, masks)
            if self.boundary_weight:
                weights = weights * (1 + self.boundary_weight * find_outlines(masks))
            logits, masks, weights = logits.flatten(1), masks.flatten(1), weights.flatten(1)
            bce = F.binary_cross_entropy_with_logits(logits, masks, weight=weights)
            probabilities = logits.sigmoid()
            overlap = (probabilities * masks).sum(1)
            dice = (2 * overlap + SMOOTH) / (probabilities.sum(1) + masks.sum(1) + SMOOTH)
            return self.bce_weight * bce + self.dice_weight * (1 - dice.mean())


class NucleiLoss(nn.Module):
    """What a network that tells kinds and parts nuclei is trained by: the sum of one loss for each of its outputs.

    What is not known of a tile is left out, and the tile then moves the other outputs alone:

    - nuclei: `BinarySegLoss`;
    - interior, over tiles whose nuclei are told apart: `BinarySegLoss`;
    - kinds, over the pixels of nuclei whose kind is known: cross-entropy weighted by kind, plus 1 - Dice as a mean over
      the kinds that the batch holds. A kind that it does not hold is left out: it has no overlap to gain.

    Args:
        nuclei: the loss of nuclei and of interiors.
        kind_weights: `(K,)` weights of the kinds in the cross-entropy; None for equal ones.
        kinds_weight: weight of the loss of kinds.
        interior_weight: weight of the loss of interiors.

    Shape:
        outputs as `model.NucleiNetwork` gives them. Targets: `nuclei` and `interior` `(B, 1, H, W)` float, 0 and 1;
        `kinds` `(B, H, W)` int64, the number of the kind or -1 where none is known; `known` `(B, 2)` bool, are the
        kinds of a tile known and its nuclei told apart. The result is a scalar.

    Reference:
        Graham et al. 2019, HoVer-Net, section 3.3, doi:10.1016/j.media.2019.101563 (cross-entropy and Dice of kinds).
    """

    def __init__(
        self,
        nuclei: BinarySegLoss,
        kind_weights: Tensor | None = None,
        kinds_weight: float = 0.5,
        interior_weight: float = 0.5,
    ) -> None:
        super().__init__()
        self.nuclei, self.kinds_weight, self.interior_weight = nuclei, kinds_weight, interior_weight
        self.register_buffer("kind_weights", kind_weights)

    def forward(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        """Compute the loss of a batch as a float32 scalar."""
        kinds_known, apart = targets["known"].unbind(1)
        loss = self.nuclei(outputs["nuclei"], targets["nuclei"])
        if "interior" in outputs:
            interior = outputs["interior"]
            # The sum of nothing is 0, and gives every parameter a gradient, which several processes wait for.
            part = self.nuclei(interior[apart], targets["interior"][apart]) if apart.any() else interior[apart].sum()
            loss = loss + self.interior_weight * part
        if "kinds" in outputs:
            part = self._compare_kinds(outputs["kinds"][kinds_known], targets["kinds"][kinds_known])
            loss = loss + self.kinds_weight * part
        return loss

    def _compare_kinds(self, logits: Tensor, kinds: Tensor) -> Tensor:
        """Compare `(B, K, H, W)` logits with `(B, H, W)` kinds over the pixels whose kind is known."""
        known = kinds >= 0
        with torch.autocast(logits.device.type, enabled=False):
            logits, kinds = logits.float().movedim(1, -1)[known], kinds[known]  # (P, K), (P,)
            if not len(kinds):
                return logits.sum()
            weights = None if self.kind_weights is None else self.kind_weights.to(logits.device)
            truth = F.one_hot(kinds, logits.shape[1]).float()
            probabilities = logits.softmax(1)
            sizes = truth.sum(0)
            dice = (2 * (probabilities * truth).sum(0) + SMOOTH) / (probabilities.sum(0) + sizes + SMOOTH)
            return F.cross_entropy(logits, kinds, weights) + 1 - dice[sizes > 0].mean()


def check_masks(masks: Tensor) -> None:
    """Refuse masks with values outside 0 to 1, with an InputError: of 0 and 255 a loss would fall without an end.

    Where they stand on a GPU it is waited for once, and not at all for masks of bool.
    """
    if masks.dtype != torch.bool and masks.numel():
        lowest, highest = torch.stack(torch.aminmax(masks.detach())).tolist()
        check_unit_range(lowest, highest, "masks", "divide masks of 0 and 255 by 255, turn ids into `ids > 0`")


def find_outlines(masks: Tensor) -> Tensor:
    """Mark the pixels with both nuclei and background among themselves and their eight neighbours.

    Args:
        masks: `(B, 1, H, W)` float, 0 and 1; beyond the border nothing is known, so it makes no outline.

    Returns:
        the same shape, 1 on the outline and 0 elsewhere.

    >>> find_outlines(torch.tensor([[[[0.0, 0.0, 0.0, 1.0, 1.0]]]]))
    tensor([[[[0., 0., 1., 1., 0.]]]])
    """
    widened, narrowed = (F.max_pool2d(sign * masks, 3, stride=1, padding=1) * sign for sign in (1, -1))
    return widened - narrowed


def balanced_class_weights(nuclei_share: float) -> Tensor:
    """Weigh background and nuclei so that both count as much in sum: 1 / (2 * share), as scikit-learn's "balanced".

    Args:
        nuclei_share: share of nuclei pixels, above 0 and below 1.

    Returns:
        `(2,)` float32, for background and nuclei.

    Raises:
        InputError: no such share.

    >>> balanced_class_weights(0.2)
    tensor([0.6250, 2.5000])
    """
    if not 0 < nuclei_share < 1:
        raise InputError(f"nuclei share {nuclei_share}: expected a share above 0 and below 1, not per cent or pixels")
    return torch.tensor([1 / (2 * (1 - nuclei_share)), 1 / (2 * nuclei_share)])
