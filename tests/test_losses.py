"""The loss, by hand on a 2 x 2 image, on every kind of empty mask, and in every precision."""

import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from helpers.errors import InputError
from helpers.losses import SMOOTH, BinarySegLoss, NucleiLoss, balanced_class_weights, find_outlines

LN2, LN43, LN3 = math.log(2), math.log(4 / 3), math.log(3)
# Probabilities 1/2, 3/4, 1/4, 1/2; the nucleus is the pixel of 3/4.
TOY_LOGITS = torch.tensor([[[[0.0, LN3], [-LN3, 0.0]]]])
TOY_MASK = torch.tensor([[[[0.0, 1.0], [0.0, 0.0]]]])


def batch(seed: int = 0, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Four images: half nuclei, few, none, all."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(4, 1, size, size, generator=generator)
    share = torch.tensor([0.5, 0.05, 0.0, 1.0]).view(4, 1, 1, 1)
    return logits, (torch.rand(4, 1, size, size, generator=generator) < share).float()


@pytest.mark.parametrize(("cross_entropy", "dice"), [(1.0, 0.0), (0.0, 1.0), (3.0, 0.5)])
def test_weighted_sum_of_both_terms_by_hand(cross_entropy, dice):
    loss = BinarySegLoss(bce_weight=cross_entropy, dice_weight=dice)(TOY_LOGITS, TOY_MASK)
    expected = cross_entropy * (2 * LN2 + 2 * LN43) / 4 + dice * (1 - (2 * 0.75 + 1) / (2 + 1 + 1))
    assert float(loss) == pytest.approx(expected)


def test_class_weights_are_background_then_nuclei():
    # Two background pixels of ln 2 and one of ln 4/3, a nucleus of ln 4/3.
    loss = BinarySegLoss(torch.tensor([1.0, 5.0]), dice_weight=0.0)(TOY_LOGITS, TOY_MASK)
    assert float(loss) == pytest.approx((2 * LN2 + LN43 + 5 * LN43) / 4)
    loss = BinarySegLoss(torch.tensor([5.0, 1.0]), dice_weight=0.0)(TOY_LOGITS, TOY_MASK)
    assert float(loss) == pytest.approx((5 * (2 * LN2 + LN43) + LN43) / 4)


@pytest.mark.parametrize("weights", [{"class_weights": torch.tensor([0.3, 7.0])}, {"boundary_weight": 4.0}])
def test_weights_of_pixels_leave_dice_alone(weights):
    assert BinarySegLoss(bce_weight=0.0, **weights)(*batch()) == BinarySegLoss(bce_weight=0.0)(*batch())


def test_cross_entropy_is_torchs():
    logits, masks = batch()
    expected = F.binary_cross_entropy_with_logits(logits, masks)
    torch.testing.assert_close(BinarySegLoss(dice_weight=0.0)(logits, masks), expected)
    weighted = F.binary_cross_entropy_with_logits(logits, masks, weight=torch.where(masks > 0, 2.5, 0.625))
    actual = BinarySegLoss(torch.tensor([0.625, 2.5]), dice_weight=0.0)(logits, masks)
    torch.testing.assert_close(actual, weighted)


def test_outline_by_hand():
    mask = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1]])
    expected = torch.tensor([[0, 0, 0, 0, 0], [0, 1, 1, 1, 1], [0, 1, 1, 1, 1], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0]])
    assert torch.equal(find_outlines(mask[None, None].float())[0, 0], expected.float())  # none along the tile's border


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_masks_of_one_kind_have_no_outline(value):
    masks = torch.full((2, 1, 5, 4), value)
    assert not find_outlines(masks).any()
    logits = batch()[0][:2, :, :5, :4]
    assert torch.equal(BinarySegLoss(boundary_weight=3.0)(logits, masks), BinarySegLoss()(logits, masks))


def test_boundary_weight_by_hand():
    # Of six pixels in a row the third and fourth are the outline; each costs ln 2.
    masks = torch.tensor([[[[0.0, 0, 0, 1, 1, 1]]]])
    loss = BinarySegLoss(dice_weight=0.0, boundary_weight=2.0)(torch.zeros_like(masks), masks)
    assert float(loss) == pytest.approx((4 * LN2 + 2 * 3 * LN2) / 6)
    loss = BinarySegLoss(torch.tensor([1.0, 5.0]), dice_weight=0.0, boundary_weight=2.0)(torch.zeros_like(masks), masks)
    assert float(loss) == pytest.approx((2 * LN2 + 3 * LN2 + 5 * (2 * LN2 + 3 * LN2)) / 6)


@pytest.mark.parametrize(
    ("nuclei", "found", "dice"),
    [(0, 0, 1.0), (0, 4, 1 / 5), (4, 0, 1 / 5), (4, 4, 1.0)],  # of a 2 x 2 image, one pixel added to both sides
)
def test_empty_masks(nuclei, found, dice):
    logits = torch.full((1, 1, 2, 2), 50.0 if found else -50.0, requires_grad=True)
    masks = torch.full((1, 1, 2, 2), float(nuclei > 0))
    loss = BinarySegLoss(bce_weight=0.0)(logits, masks)
    assert float(loss.detach()) == pytest.approx(1 - dice, abs=1e-6)
    BinarySegLoss()(logits, masks).backward()
    assert torch.isfinite(logits.grad).all()


def test_loss_of_a_batch_is_the_mean_over_its_images():
    logits, masks = batch()
    criterion = BinarySegLoss(torch.tensor([0.6, 3.0]))
    single = [criterion(logits[i : i + 1], masks[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(criterion(logits, masks), torch.stack(single).mean())
    assert torch.stack(single).std() > 0.1  # they do differ


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_of_a_large_tile(dtype):
    # 65,536 pixels of probability near 1: the sum lies above the largest float16, 65,504.
    logits = torch.full((2, 1, 256, 256), 12.0, dtype=dtype, requires_grad=True)
    masks = torch.ones(2, 1, 256, 256)
    masks[1] = 0
    loss = BinarySegLoss()(logits, masks)
    assert loss.dtype == torch.float32
    expected = BinarySegLoss()(logits.detach().float(), masks)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        expected, torch.tensor((12 + 2 * math.log1p(math.exp(-12)) + 1 - 1 / 65537) / 2), rtol=1e-4, atol=0
    )
    (loss * 2**10).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.any()


def test_autocast_changes_nothing():
    logits, masks = batch()
    expected = BinarySegLoss(torch.tensor([0.6, 3.0]))(logits, masks)
    with torch.autocast("cpu", torch.bfloat16):
        actual = BinarySegLoss(torch.tensor([0.6, 3.0]))(logits, masks)
    assert actual.dtype == torch.float32
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("logit", [-1e4, -100.0, 0.0, 100.0, 1e4])
def test_gradient_is_finite(logit):
    masks = batch()[1]
    logits = torch.full_like(masks, logit, requires_grad=True)
    loss = BinarySegLoss()(logits, masks)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_gradient_points_towards_the_truth():
    logits, masks = batch()
    logits.requires_grad_()
    BinarySegLoss()(logits, masks).backward()
    assert (logits.grad[masks == 1] < 0).all()
    assert (logits.grad[masks == 0] > 0).all()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_whole_number_masks_do_as_well(dtype):
    logits, masks = batch()
    assert torch.equal(BinarySegLoss()(logits, masks.to(dtype)), BinarySegLoss()(logits, masks))


@pytest.mark.parametrize("shape", [(4, 16, 16), (4, 1, 16, 8), (1, 1, 16, 16), (4, 2, 16, 16)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="logits and masks of one shape"):
        BinarySegLoss()(batch()[0], torch.zeros(shape))


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], [0.0, 1.0], [1.0, -1.0], [1.0, math.nan], 2.0]
)
def test_other_class_weights_are_refused(weights):
    with pytest.raises(ValueError, match="two positive numbers, background and nuclei"):
        BinarySegLoss(torch.tensor(weights))


def test_class_weights_travel_with_the_loss():
    criterion = BinarySegLoss(torch.tensor([1.0, 4.0]))
    assert criterion.class_weights.tolist() == [1.0, 4.0]
    assert list(criterion.state_dict()) == ["class_weights"]
    assert list(criterion.parameters()) == []


@pytest.mark.parametrize("nuclei", [1, 130, 500, 999])
def test_balanced_weights_are_scikit_learns(nuclei):
    labels = np.repeat([0, 1], [1000 - nuclei, nuclei])
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    weights = balanced_class_weights(nuclei / 1000)
    assert weights.dtype == torch.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "found"),
    [([0.0, 255.0], "0 to 255"), ([-1.0, 1.0], "-1 to 1"), ([0.0, math.nan], "nan to nan"), ([0.0, 1.5], "0 to 1.5")],
)
def test_masks_outside_0_to_1_are_refused(values, found):
    logits, masks = torch.zeros(1, 1, 1, 2), torch.tensor(values).view(1, 1, 1, 2)
    with pytest.raises(
        InputError, match=f"masks: expected values from 0 to 1, found {found}; divide masks of 0 and 255"
    ):
        BinarySegLoss()(logits, masks)


def test_bytes_of_0_and_255_are_refused_and_taken_divided_by_255():
    logits, masks = batch()
    with pytest.raises(InputError, match="found 0 to 255"):
        BinarySegLoss()(logits, (255 * masks).to(torch.uint8))
    assert torch.equal(BinarySegLoss()(logits, 255 * masks / 255), BinarySegLoss()(logits, masks))


def test_soft_labels_are_taken():
    # One pixel of label 1/4 at probability 1/2: cross-entropy ln 2, Dice (2 / 8 + 1) / (1 / 2 + 1 / 4 + 1).
    loss = BinarySegLoss()(torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.25))
    assert float(loss) == pytest.approx(LN2 + 1 - 1.25 / 1.75)


@pytest.mark.parametrize("share", [0.0, 1.0, 20.0, math.nan])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InputError, match="a share above 0 and below 1"):
        balanced_class_weights(share)


# Kinds and interiors beside nuclei.

KINDS = 3


def everything(seed: int = 0, size: int = 16) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Give outputs and targets of four tiles of which both, kinds, interiors and nothing are known."""
    generator = torch.Generator().manual_seed(seed)
    outputs = {
        name: torch.randn(4, channels, size, size, generator=generator).requires_grad_()
        for name, channels in (("nuclei", 1), ("kinds", KINDS), ("interior", 1))
    }
    kinds = torch.randint(-1, KINDS, (4, size, size), generator=generator)
    nuclei = (kinds >= 0)[:, None].float()
    interior = nuclei * (torch.rand(4, 1, size, size, generator=generator) < 0.5)
    known = torch.tensor([[True, True], [True, False], [False, True], [False, False]])
    return outputs, {"nuclei": nuclei, "kinds": kinds, "interior": interior, "known": known}


def test_nuclei_loss_by_hand():
    # Two pixels: a nucleus of kind 1 and background. All probabilities are a half, but those of kinds 1/4 and 3/4.
    outputs = {
        "nuclei": torch.zeros(1, 1, 1, 2),
        "interior": torch.zeros(1, 1, 1, 2),
        "kinds": torch.tensor([[[[0.0, 9.0]], [[LN3, -9.0]]]]),
    }
    targets = {
        "nuclei": torch.tensor([[[[1.0, 0.0]]]]),
        "interior": torch.tensor([[[[0.0, 0.0]]]]),
        "kinds": torch.tensor([[[1, -1]]]),
        "known": torch.tensor([[True, True]]),
    }
    nuclei = LN2 + 1 - (2 * 0.5 + 1) / (1 + 1 + 1)
    interior = LN2 + 1 - (2 * 0 + 1) / (1 + 0 + 1)
    kinds = LN43 + 1 - (2 * 0.75 + 1) / (0.75 + 1 + 1)  # kind 0 is not there, and left out
    loss = NucleiLoss(BinarySegLoss(), kinds_weight=0.3, interior_weight=0.7)(outputs, targets)
    assert (loss.shape, loss.dtype) == ((), torch.float32)
    assert float(loss) == pytest.approx(nuclei + 0.7 * interior + 0.3 * kinds)
    loss = NucleiLoss(BinarySegLoss())(outputs, targets)
    assert float(loss) == pytest.approx(nuclei + 0.5 * interior + 0.5 * kinds)
    del outputs["interior"], outputs["kinds"]
    assert float(NucleiLoss(BinarySegLoss())(outputs, targets)) == pytest.approx(nuclei)


def test_kinds_are_compared_by_torchs_cross_entropy_and_dice():
    outputs, targets = everything()
    weights = torch.tensor([0.2, 1.0, 1.8])
    loss = NucleiLoss(BinarySegLoss(), weights, kinds_weight=1.0, interior_weight=0.0)(outputs, targets)
    loss = loss - BinarySegLoss()(outputs["nuclei"], targets["nuclei"])
    logits, kinds = outputs["kinds"][:2], targets["kinds"][:2]  # of the others none is known
    cross_entropy = F.cross_entropy(logits, kinds, weights, ignore_index=-1)
    probabilities, dice = logits.softmax(1), 0
    for kind in range(KINDS):
        truth = (kinds == kind).float()
        found = probabilities[:, kind] * (kinds >= 0)
        dice += (2 * (found * truth).sum() + SMOOTH) / (found.sum() + truth.sum() + SMOOTH) / KINDS
    torch.testing.assert_close(loss, cross_entropy + 1 - dice)


def test_interiors_are_compared_where_nuclei_are_told_apart():
    outputs, targets = everything()
    criterion = BinarySegLoss(torch.tensor([0.6, 3.0]))
    loss = NucleiLoss(criterion, kinds_weight=0.0, interior_weight=1.0)(outputs, targets)
    apart = torch.tensor([0, 2])
    expected = criterion(outputs["nuclei"], targets["nuclei"])
    expected = expected + criterion(outputs["interior"][apart], targets["interior"][apart])
    torch.testing.assert_close(loss, expected)


def test_what_is_not_known_of_a_tile_does_not_move_its_output():
    outputs, targets = everything()
    NucleiLoss(BinarySegLoss())(outputs, targets).backward()
    moved = {name: values.grad.flatten(1).any(1).tolist() for name, values in outputs.items()}
    assert moved == {
        "nuclei": [True] * 4,
        "kinds": [True, True, False, False],
        "interior": [True, False, True, False],
    }
    # Nor do pixels of background, or of kinds that are not learnt, move that of kinds.
    gradients = outputs["kinds"].grad.abs().sum(1)
    assert not gradients[targets["kinds"] < 0].any()
    assert (gradients[:2][targets["kinds"][:2] >= 0] > 0).all()


@pytest.mark.parametrize("empty", ["unknown", "no nuclei"])
def test_a_batch_of_which_nothing_is_known_moves_nuclei_alone(empty):
    outputs, targets = everything()
    if empty == "unknown":
        targets["known"][:] = False
    else:
        targets["kinds"][:] = -1
        targets["known"][:, 1] = False
    loss = NucleiLoss(BinarySegLoss(), torch.ones(KINDS))(outputs, targets)
    torch.testing.assert_close(loss, BinarySegLoss()(outputs["nuclei"], targets["nuclei"]))
    loss.backward()
    for name, values in outputs.items():
        assert values.grad is not None  # several processes wait for each
        assert values.grad.any() == (name == "nuclei")


def test_kinds_that_a_batch_does_not_hold_are_left_out():
    outputs, targets = everything()
    targets["kinds"][:] = 2
    outputs["kinds"] = torch.zeros(4, KINDS, 16, 16)
    pixels = 2 * 16 * 16  # of the tiles whose kinds are known
    expected = LN3 + 1 - (2 * pixels / 3 + 1) / (pixels / 3 + pixels + 1)
    loss = NucleiLoss(BinarySegLoss(), kinds_weight=1.0, interior_weight=0.0)(outputs, targets)
    loss = loss - BinarySegLoss()(outputs["nuclei"], targets["nuclei"])
    assert float(loss.detach()) == pytest.approx(expected)


def test_losses_of_kinds_and_interiors_stay_finite_in_half_precision():
    outputs, targets = everything(size=64)
    expected = NucleiLoss(BinarySegLoss())(outputs, targets)
    with torch.autocast("cpu", torch.bfloat16):
        actual = NucleiLoss(BinarySegLoss())(outputs, targets)
    assert torch.equal(actual, expected)
    for dtype in (torch.float16, torch.bfloat16):
        half = {name: (50 * values.detach()).to(dtype).requires_grad_() for name, values in outputs.items()}
        with torch.autocast("cpu", torch.bfloat16):
            loss = NucleiLoss(BinarySegLoss(), torch.ones(KINDS))(half, targets)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(
            loss, NucleiLoss(BinarySegLoss())({name: values.float() for name, values in half.items()}, targets)
        )
        loss.backward()
        assert all(torch.isfinite(values.grad).all() and values.grad.any() for values in half.values())
