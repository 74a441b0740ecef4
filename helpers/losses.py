"""The loss: weighted binary cross-entropy plus soft Dice."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMOOTH = 1.0  # pixels added to both sides of the Dice fraction: defined, and 1, where truth and prediction are empty


class BinarySegLoss(nn.Module):
    """Binary cross-entropy and Dice loss on logits, a mean over images.

    For one image with truth y, probability p = sigmoid(logit) and class weight w (that of the pixel's true class):

        L = bce_weight * mean(w * BCE(p, y)) + dice_weight * (1 - (2 * sum(p * y) + 1) / (sum(p) + sum(y) + 1))

    It is computed in float32 whatever the autocast: sums over a tile overflow in float16.

    Args:
        class_weights: `(2,)`, weights of background and nuclei, in that order; None for equal ones.
        bce_weight: weight of the cross-entropy.
        dice_weight: weight of the Dice loss.

    Raises:
        ValueError: class weights that are not two positive numbers.

    Shape:
        logits `(B, 1, H, W)`, masks `(B, 1, H, W)` with values 0 and 1; the result is a scalar.

    Reference:
        Milletari, Navab, Ahmadi 2016, V-Net, doi:10.1109/3DV.2016.79 (Dice loss; here without its squares).

    >>> loss = BinarySegLoss(bce_weight=0.0)
    >>> float(loss(torch.full((1, 1, 2, 2), -100.0), torch.zeros(1, 1, 2, 2)))  # empty, and predicted empty
    0.0
    """

    def __init__(self, class_weights: Tensor | None = None, bce_weight: float = 1.0, dice_weight: float = 1.0) -> None:
        super().__init__()
        weights = torch.ones(2) if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)
        if weights.shape != (2,) or not bool((weights > 0).all()):
            raise ValueError(f"class_weights: expected two positive numbers, background and nuclei, found {weights}")
        self.register_buffer("class_weights", weights)
        self.bce_weight, self.dice_weight = bce_weight, dice_weight

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Compute the loss of a batch as a float32 scalar."""
        if logits.shape != masks.shape:
            raise ValueError(f"expected logits and masks of one shape, found {logits.shape} and {masks.shape}")
        with torch.autocast(logits.device.type, enabled=False):
            logits, masks = logits.float().flatten(1), masks.float().flatten(1)
            background, nuclei = self.class_weights.to(logits.device)
            weights = torch.lerp(background, nuclei, masks)
            bce = F.binary_cross_entropy_with_logits(logits, masks, weight=weights)
            probabilities = logits.sigmoid()
            overlap = (probabilities * masks).sum(1)
            dice = (2 * overlap + SMOOTH) / (probabilities.sum(1) + masks.sum(1) + SMOOTH)
            return self.bce_weight * bce + self.dice_weight * (1 - dice.mean())


def balanced_class_weights(nuclei_share: float) -> Tensor:
    """Weigh background and nuclei so that both count as much in sum: 1 / (2 * share), as scikit-learn's "balanced".

    Args:
        nuclei_share: share of nuclei pixels, above 0 and below 1.

    Returns:
        `(2,)` float32, for background and nuclei.

    >>> balanced_class_weights(0.2)
    tensor([0.6250, 2.5000])
    """
    return torch.tensor([1 / (2 * (1 - nuclei_share)), 1 / (2 * nuclei_share)])
