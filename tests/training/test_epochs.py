"""Training and evaluation: the report's snippet as written, exact accumulation, clipping, precision, and the scores."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.optim import SGD, AdamW
from torch.utils.data import DataLoader, TensorDataset

from helpers import devices
from helpers.devices import pick_device
from helpers.errors import InputError
from helpers.losses import BinarySegLoss
from helpers.metrics import count_pixels, scores
from helpers.model import EfficientNetSegmentation
from helpers.training.epochs import average_weights, evaluate_model, train_epoch
from helpers.training.schedule import StepGuard

CPU = torch.device("cpu")
REPORT_KEYS = {"loss", "dice", "iou", "background_accuracy", "nuclei_accuracy", "accuracy"}


def toy_tiles(count: int, size: int = 16, seed: int = 0) -> TensorDataset:
    """Noise with bright squares, which are the nuclei."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(count, 3, size, size, generator=generator)
    masks = torch.zeros(count, 1, size, size)
    for mask in masks:
        row, column = torch.randint(size // 2, (2,), generator=generator).tolist()
        mask[:, row : row + size // 2, column : column + size // 3] = 1
    return TensorDataset(images + masks, masks)


@pytest.fixture
def small_network() -> nn.Module:
    """Without batch norm, dropout or any chance."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 1, 3, padding=1))


def train(model: nn.Module, batches, rate: float = 0.1, scaler=None, **options) -> float:
    """Train for one epoch with plain SGD on the CPU, in full precision unless told otherwise."""
    optimizer = SGD(model.parameters(), lr=rate)
    return train_epoch(model, batches, BinarySegLoss(), optimizer, CPU, scaler, **{"use_amp": False} | options)


def parameters_of(model: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


class Reader(nn.Module):
    """Answers with the first channel of the image as logits; counts its calls and notes its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))
        self.norm = nn.BatchNorm2d(3)
        self.modes: list[bool] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pass the first channel on."""
        self.modes.append(self.training)
        self.norm(images)
        return self.factor * images[:, :1]


def test_the_reports_snippet_runs_as_written(capsys):
    torch.manual_seed(0)
    tiles = toy_tiles(6, size=64)
    train_loader = DataLoader(tiles, batch_size=4, shuffle=True)
    val_loader = DataLoader(tiles, batch_size=4)
    device = pick_device()
    class_weights_tensor = torch.tensor([0.6, 3.0]).to(device)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")

    model = EfficientNetSegmentation(img_size=128, in_channels=3, num_classes=5, dropout=0.2).to(device)
    optimizer = AdamW(model.parameters(), lr=1e-4, weight_decay=1e-4)
    criterion = BinarySegLoss(class_weights=class_weights_tensor, bce_weight=1.0, dice_weight=1.0)
    before = parameters_of(model)
    for _ in range(2):
        train_loss = train_epoch(
            model, train_loader, criterion, optimizer, device, scaler=scaler, use_amp=True, accumulation_steps=8
        )
        metrics = evaluate_model(model, val_loader, criterion, device)

    assert isinstance(train_loss, float)
    assert math.isfinite(train_loss)
    assert set(metrics) >= REPORT_KEYS
    assert all(0 <= metrics[key] <= 1 for key in REPORT_KEYS - {"loss"})
    assert metrics["n"] == metrics["n_with_nuclei"] == 6
    # Two steps of AdamW move a parameter by the learning rate each, about.
    assert 1e-5 < (parameters_of(model) - before).abs().max() < 3e-4
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("count", "batch_size", "accumulation_steps", "groups"),
    [
        (22, 4, 4, (16, 6)),  # the last group has one whole batch and one of 2
        (16, 4, 2, (8, 8)),  # everything comes out even
        (5, 4, 8, (5,)),  # the only group is not full
        (9, 4, 2, (8, 1)),  # the last group is one batch of one image
        (6, 1, 4, (4, 2)),
        (7, 3, 1, (3, 3, 1)),  # no accumulation
    ],
)
def test_accumulation_equals_one_large_batch(small_network, count, batch_size, accumulation_steps, groups):
    tiles, criterion = toy_tiles(count), BinarySegLoss(torch.tensor([0.6, 3.0]))
    accumulated, expected = copy.deepcopy(small_network), copy.deepcopy(small_network)
    loss = train_epoch(
        accumulated, DataLoader(tiles, batch_size), criterion, SGD(accumulated.parameters(), lr=0.3), CPU,
        use_amp=False, accumulation_steps=accumulation_steps, max_grad_norm=None,
    )  # fmt: skip

    optimizer, losses, start = SGD(expected.parameters(), lr=0.3), [], 0
    for size in groups:
        images, masks = tiles[start : start + size]
        optimizer.zero_grad()
        large_batch = criterion(expected(images), masks)
        large_batch.backward()
        optimizer.step()
        losses.append(float(large_batch.detach()) * size)
        start += size
    assert start == count
    torch.testing.assert_close(parameters_of(accumulated), parameters_of(expected), rtol=0, atol=1e-6)
    assert (parameters_of(accumulated) - parameters_of(small_network)).abs().max() > 0.01  # it did move
    assert loss == pytest.approx(sum(losses) / count, rel=1e-5)


def test_loss_is_the_mean_over_images(small_network):
    # With a learning rate of 0 every batch is judged by the same network; the last one is smaller.
    tiles, criterion = toy_tiles(7), BinarySegLoss()
    with torch.no_grad():
        expected = np.mean([float(criterion(small_network(image[None]), mask[None])) for image, mask in tiles])
    assert train(small_network, DataLoader(tiles, 3), rate=0.0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("enabled", [False, True])
def test_gradients_are_clipped_once_for_a_group(small_network, enabled):
    # A step of SGD at rate 1 is the gradient: two groups, each of the given norm at most.
    limit, moved = 1e-3, []
    before = parameters_of(small_network)
    optimizer = SGD(small_network.parameters(), lr=1.0)
    optimizer.register_step_post_hook(lambda *_: moved.append(parameters_of(small_network)))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=enabled)
    train_epoch(
        small_network, DataLoader(toy_tiles(12), 3), BinarySegLoss(), optimizer, CPU, scaler,
        use_amp=False, accumulation_steps=2, max_grad_norm=limit,
    )  # fmt: skip
    assert len(moved) == 2
    steps = [float((after - start).norm()) for start, after in itertools.pairwise([before, *moved])]
    assert steps == pytest.approx([limit, limit], rel=1e-2)


@pytest.mark.parametrize(
    "options",
    [
        {"max_grad_norm": 1e6},  # small gradients are not clipped
        {"scaler": torch.amp.GradScaler("cpu", enabled=False)},
        {"scaler": torch.amp.GradScaler("cpu", enabled=True)},
    ],
)
def test_what_changes_nothing(small_network, options):
    changed, plain = copy.deepcopy(small_network), copy.deepcopy(small_network)
    train(changed, DataLoader(toy_tiles(6), 3), **options)
    train(plain, DataLoader(toy_tiles(6), 3), **({"max_grad_norm": None} if "max_grad_norm" in options else {}))
    torch.testing.assert_close(parameters_of(changed), parameters_of(plain), rtol=0, atol=1e-6)


def test_old_gradients_do_not_count(small_network):
    fresh, used = copy.deepcopy(small_network), copy.deepcopy(small_network)
    for parameter in used.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)
    for model in (fresh, used):
        train(model, DataLoader(toy_tiles(4), 2))
    assert torch.equal(parameters_of(fresh), parameters_of(used))


def test_any_loader_of_pairs_will_do(small_network):
    images, masks = toy_tiles(4)[:]
    pairs = [(images[:3], masks[:3]), (images[3:], masks[3:])]
    optimizer = SGD(small_network.parameters(), lr=0.1)
    assert train_epoch(small_network, iter(pairs), BinarySegLoss(), optimizer, "cpu") > 0
    assert evaluate_model(small_network, (pair for pair in pairs), BinarySegLoss(), "cpu")["n"] == 4


def test_what_cannot_be_trained_is_refused(small_network):
    optimizer, criterion = SGD(small_network.parameters(), lr=0.1), BinarySegLoss()
    with pytest.raises(ValueError, match="accumulation_steps: expected 1 or more, found 0"):
        train_epoch(small_network, DataLoader(toy_tiles(2)), criterion, optimizer, CPU, accumulation_steps=0)
    with pytest.raises(ValueError, match="train_loader: expected at least one batch"):
        train_epoch(small_network, [], criterion, optimizer, CPU)
    with pytest.raises(ValueError, match="val_loader: expected at least one batch"):
        evaluate_model(small_network, [], criterion, CPU)


def test_bar_shows_the_running_loss(small_network, capsys):
    loss = train(small_network, DataLoader(toy_tiles(4), 2), rate=0.0, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"loss={loss:.4f}" in shown.err


def test_it_learns(small_network):
    train_loader, criterion = DataLoader(toy_tiles(16), 4), BinarySegLoss()
    optimizer = AdamW(small_network.parameters(), lr=0.02)
    first = evaluate_model(small_network, train_loader, criterion, CPU)
    losses = [
        train_epoch(small_network, train_loader, criterion, optimizer, CPU, accumulation_steps=2) for _ in range(20)
    ]
    held_out = evaluate_model(small_network, DataLoader(toy_tiles(8, seed=1), 4), criterion, CPU)
    assert losses[-1] < 0.5 * losses[0]
    assert held_out["dice"] > 0.9 > first["dice"]


def test_network_learns_with_everything_on():
    torch.manual_seed(0)
    model = EfficientNetSegmentation(img_size=64, dropout=0.0)
    train_loader, criterion = DataLoader(toy_tiles(8, size=64), 4), BinarySegLoss()
    optimizer = AdamW(model.parameters(), lr=3e-3)
    losses = [train_epoch(model, train_loader, criterion, optimizer, CPU, accumulation_steps=1) for _ in range(6)]
    assert losses[-1] < 0.7 * losses[0]


def test_evaluation_by_hand():
    # Logits are written into the images; one nucleus pixel in the first image, none in the second, all in the third.
    logits = torch.tensor([[[4.0, -4.0], [4.0, -4.0]], [[-4.0, -4.0], [-4.0, -4.0]], [[4.0, 4.0], [4.0, -4.0]]])
    masks = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])[:, None]
    images = logits[:, None].repeat(1, 3, 1, 1)
    model, criterion = Reader(), BinarySegLoss(torch.tensor([1.0, 2.0]))
    result = evaluate_model(model, DataLoader(TensorDataset(images, masks), 2), criterion, CPU, use_amp=False)
    expected = scores(np.array([[1, 1, 0, 2], [0, 0, 0, 4], [3, 0, 1, 0]]))
    assert {key: result[key] for key in expected} == expected
    assert result["dice"] == pytest.approx((2 / 3 + 6 / 7) / 2)
    assert (result["background_accuracy"], result["nuclei_accuracy"]) == (6 / 7, 4 / 5)
    # The mean over the three images, not over the two batches.
    singles = [criterion(logits[None, None, i], masks[None, i]) for i in range(3)]
    assert result["loss"] == pytest.approx(float(sum(singles)) / 3, rel=1e-6)
    assert set(result) == {"loss"} | set(expected)


def test_evaluation_agrees_with_scikit_learn(small_network):
    tiles = toy_tiles(9)
    result = evaluate_model(small_network, DataLoader(tiles, 4), BinarySegLoss(), CPU, use_amp=False)
    images, masks = tiles[:]
    with torch.no_grad():
        predicted = (small_network(images).sigmoid() >= 0.5).numpy()
    truth = masks.numpy() > 0
    per_image = [f1_score(one.ravel(), other.ravel()) for one, other in zip(truth, predicted, strict=True)]
    assert result["dice"] == pytest.approx(np.mean(per_image))
    assert result["dice_pooled"] == pytest.approx(f1_score(truth.ravel(), predicted.ravel()))
    assert result["accuracy"] == scores(count_pixels(predicted[:, 0], truth[:, 0]))["accuracy"]


def test_probability_of_one_half_counts_as_nucleus():
    images = torch.tensor([0.0, -1e-3, 1e-3, -5.0]).view(1, 1, 2, 2).repeat(1, 3, 1, 1)
    result = evaluate_model(Reader(), [(images, torch.ones(1, 1, 2, 2))], BinarySegLoss(), CPU, use_amp=False)
    assert result["recall"] == 0.5


def test_modes_and_traces_in_the_network():
    model, loader = Reader(), DataLoader(toy_tiles(4), 2)
    statistics = copy.deepcopy(model.norm.state_dict())
    evaluate_model(model.train(), loader, BinarySegLoss(), CPU)
    assert model.modes == [False, False]
    assert not model.training
    assert model.factor.grad is None
    assert all(torch.equal(value, statistics[name]) for name, value in model.norm.state_dict().items())
    train_epoch(model, loader, BinarySegLoss(), SGD(model.parameters(), lr=0.1), CPU)
    assert model.modes[2:] == [True, True]
    assert int(model.norm.num_batches_tracked) == 2
    # What evaluation leaves behind can be trained.
    assert not model.factor.is_inference()


def test_empty_tiles_do_no_harm(small_network):
    loader = [(torch.zeros(4, 3, 16, 16), torch.zeros(4, 1, 16, 16))]
    assert math.isfinite(train(small_network, loader))
    result = evaluate_model(small_network, loader, BinarySegLoss(), CPU)
    assert math.isfinite(result["loss"])
    assert math.isnan(result["dice"])
    assert (result["n"], result["n_with_nuclei"]) == (4, 0)


def test_use_amp_reaches_the_network_but_not_the_loss(monkeypatch):
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: True)
    seen = []

    class Watched(BinarySegLoss):
        def forward(self, logits, masks):
            loss = super().forward(logits, masks)
            seen.append((logits.dtype, loss.dtype))
            return loss

    model, loader = nn.Conv2d(3, 1, 1), [toy_tiles(2)[:]]
    for use_amp in (True, False):
        train_epoch(model, loader, Watched(), SGD(model.parameters(), lr=0.1), CPU, use_amp=use_amp)
        evaluate_model(model, loader, Watched(), CPU, use_amp=use_amp)
    low, full = (torch.bfloat16, torch.float32), (torch.float32, torch.float32)
    assert seen == [low, low, full, full]
    assert all(parameter.dtype == parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_average_of_weights_by_hand():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    optimizer = SGD(model.parameters(), lr=0.0)
    average = average_weights(model, optimizer, decay=0.2)
    expected = None
    for step, weight in enumerate((8.0, 4.0, -2.0, 6.0)):
        with torch.no_grad():
            model[0].weight.fill_(weight)
        model(torch.randn(5, 1)).sum().backward()
        optimizer.step()
        # Nothing is averaged yet; then the old average keeps 2/11, 1/4 but no more than 0.2, 0.2.
        kept = 0.0 if expected is None else min(0.2, (1 + step) / (10 + step))
        expected = weight if expected is None else kept * expected + (1 - kept) * weight
        assert float(average.module[0].weight.detach()) == pytest.approx(expected)
        # Running statistics are those of the network.
        assert torch.equal(average.module[1].running_mean, model[1].running_mean)
    assert float(model[0].weight.detach()) == 6.0


@pytest.mark.parametrize("enabled", [False, True])
def test_steps_that_are_not_finite_are_skipped(small_network, enabled):
    # What is left is the training on the good batch alone.
    skipping, plain = copy.deepcopy(small_network), copy.deepcopy(small_network)
    good, (images, masks) = next(iter(DataLoader(toy_tiles(2), 2))), next(iter(DataLoader(toy_tiles(2, seed=1), 2)))
    bad = (images * torch.tensor([math.nan, 1.0]).view(2, 1, 1, 1), masks)
    guard, losses = StepGuard(), []
    for model, batches in ((skipping, [bad, good, bad]), (plain, [good])):
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=enabled)
        losses.append(train(model, batches, scaler=scaler, accumulation_steps=1, guard=guard))
    assert guard.skipped == 2
    assert losses[0] == losses[1]
    torch.testing.assert_close(parameters_of(skipping), parameters_of(plain), rtol=0, atol=1e-6)


def test_an_epoch_without_a_good_step_has_no_loss(small_network):
    images, masks = next(iter(DataLoader(toy_tiles(2), 2)))
    before = parameters_of(small_network)
    assert math.isnan(train(small_network, [(images * math.nan, masks)]))
    assert torch.equal(parameters_of(small_network), before)


@pytest.mark.parametrize("criterion", [BinarySegLoss(), nn.BCEWithLogitsLoss()])
def test_masks_of_0_and_255_are_refused_whatever_the_criterion(small_network, criterion):
    images, masks = next(iter(DataLoader(toy_tiles(2), 2)))
    before = parameters_of(small_network)
    with pytest.raises(InputError, match="masks: expected values from 0 to 1, found 0 to 255"):
        evaluate_model(small_network, [(images, 255 * masks)], criterion, CPU)
    with pytest.raises(InputError, match="masks: expected values from 0 to 1, found 0 to 255"):
        train_epoch(small_network, [(images, 255 * masks)], criterion, SGD(small_network.parameters(), lr=1), CPU)
    assert torch.equal(parameters_of(small_network), before)


def test_soft_labels_count_as_nuclei_from_one_half():
    images = torch.zeros(1, 3, 1, 4)
    images[0, 0, 0] = torch.tensor([5.0, 5.0, -5.0, -5.0])
    masks = torch.tensor([0.6, 0.4, 0.6, 0.4]).view(1, 1, 1, 4)
    found = evaluate_model(Reader(), [(images, masks)], BinarySegLoss(), CPU, use_amp=False)
    assert found["dice"] == pytest.approx(1 / 2)  # one pixel right, one invented, one missed
