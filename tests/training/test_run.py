"""Runs: what they leave, that they are taken up to the bit, and who decides when they end."""

import copy
import csv
import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.config import CLASS_NAMES, OUTPUTS, Recipe
from helpers.data.prepare import prepare
from helpers.data.split import split_tiles
from helpers.errors import InputError
from helpers.files import LOCK, locked
from helpers.losses import BinarySegLoss, balanced_class_weights
from helpers.model import count_parameters, set_batch_norm_momentum
from helpers.sample_tissue.sample import write_sample_fold
from helpers.training import checkpoints, comparisons, resume
from helpers.training import run as runs
from helpers.training.checkpoints import load_checkpoint, save_checkpoint
from helpers.training.loaders import nuclei_share
from helpers.training.results import BEST, HISTORY, LAST, RESULTS
from helpers.training.run import train_run, weigh_kinds

CPU = torch.device("cpu")
RECIPE = Recipe(
    "test", image_size=32, epochs=3, batch_size=4, learning_rate=1e-3, pretrained=False, stop_early=False,
    accumulation_steps=3,  # 16 training tiles: a group of three batches, a group of one
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Iterator[Path]:
    """Twenty sample tiles of five slides, one of which validates."""
    folder = write_sample_fold(tmp_path_factory.mktemp("data") / "sample", num_tiles=20, dtype="uint8")
    yield folder
    shutil.rmtree(folder.parent)


@pytest.fixture
def run(tmp_path) -> Iterator[Path]:
    """The folder of a run; removed at once, for pytest would keep it."""
    yield tmp_path / "run"
    shutil.rmtree(tmp_path)


class SmallNetwork(nn.Module):
    """Stands in for the real network where only its handling is in question."""

    def __init__(self, name="unet", img_size=128, dropout=0.2, in_channels=3, num_classes=5, **more) -> None:
        super().__init__()
        self.name, self.img_size, self.in_channels, self.num_classes = name, img_size, in_channels, num_classes
        self.dropout = nn.Dropout2d(dropout)
        self.encoder = nn.Sequential(nn.Conv2d(in_channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Predict logits."""
        return self.head(self.dropout(self.encoder(images)))


@pytest.fixture
def _small(monkeypatch) -> None:
    for module in (comparisons, checkpoints):
        monkeypatch.setattr(module, "build_network", SmallNetwork)


class Script:
    """Takes the place of `evaluate_model`: gives scores that were written before, and keeps the weights it saw."""

    def __init__(self, dice: list[float], losses: list[float] | None = None) -> None:
        self.scores = list(zip(losses or [1.0] * len(dice), dice, strict=True))
        self.weights: list[dict[str, Tensor]] = []

    def __call__(self, model: nn.Module, *_: object, **__: object) -> dict[str, float]:
        """Give the next scores."""
        self.weights.append(copy.deepcopy(model.state_dict()))
        loss, dice = self.scores[len(self.weights) - 1]
        return {"loss": loss, "dice": dice}


@pytest.fixture
def follow(monkeypatch) -> Callable[..., Script]:
    """Let the next run follow a script."""

    def install(dice: list[float], losses: list[float] | None = None) -> Script:
        script = Script(dice, losses)
        monkeypatch.setattr(runs, "evaluate_model", script)
        return script

    return install


def train(dataset: Path, run: Path, recipe: Recipe = RECIPE, **changes) -> tuple[dict, list[str]]:
    """Train on the CPU and in silence; return the results and the lines of the log."""
    lines: list[str] = []
    return train_run(dataset, run, dataclasses.replace(recipe, **changes), device=CPU, log=lines.append), lines


def stop_in_second_epoch(monkeypatch, dataset: Path, run: Path, **changes) -> None:
    """Train, and interrupt the evaluation of the second epoch."""
    once = iter([runs.evaluate_model])

    def evaluate(*arguments):
        try:
            return next(once)(*arguments)
        except StopIteration:
            raise KeyboardInterrupt from None

    with monkeypatch.context() as patch:
        patch.setattr(runs, "evaluate_model", evaluate)
        with pytest.raises(KeyboardInterrupt):
            train(dataset, run, **changes)


def history(run: Path) -> list[dict[str, str]]:
    """Read the rows of the history, without the time they took."""
    with open(run / HISTORY, newline="", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def without_time(value: object) -> object:
    """Leave out what no two runs share."""
    if isinstance(value, dict):
        return {key: without_time(item) for key, item in value.items() if key not in ("seconds", "date")}
    return [without_time(item) for item in value] if isinstance(value, list) else value


def assert_same(first: object, second: object) -> None:
    """Compare nested values, tensors bit for bit."""
    assert type(first) is type(second)
    if isinstance(first, Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif first == first or second == second:  # both may be no number
        assert first == second


def assert_same_run(first: Path, second: Path) -> None:
    """Compare all that two runs left, times apart."""
    assert history(first) == history(second)
    for name in (BEST, LAST):
        (model, more), (other, other_more) = (load_checkpoint(folder / name) for folder in (first, second))
        assert_same(model.state_dict(), other.state_dict())
        assert_same(without_time(more), without_time(other_more))
    read = [without_time(json.loads((folder / RESULTS).read_text())) for folder in (first, second)]
    assert read[0] == read[1]


def bytes_of(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir()}


# The real network.


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory) -> Iterator[tuple[Path, dict, list[str]]]:
    """An uninterrupted run of the real network."""
    folder = tmp_path_factory.mktemp("finished")
    yield folder / "run", *train(dataset, folder / "run")
    shutil.rmtree(folder)


def test_what_a_run_leaves(finished):
    run, results, lines = finished
    assert sorted(path.name for path in run.iterdir()) == sorted([LOCK, BEST, LAST, HISTORY, RESULTS])
    assert json.loads((run / RESULTS).read_text()) == results
    rows = history(run)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {row["learning_rate"] for row in rows} == {"0.001"}
    expected = {"train_loss", "val_loss", "val_dice", "val_dice_empty_zero", "val_dice_empty_one", "val_dice_pooled"}
    expected |= {"val_iou", "val_background_accuracy", "val_nuclei_accuracy", "val_accuracy", "val_n"}
    assert expected <= set(rows[0])
    assert all(math.isfinite(float(row["train_loss"])) for row in rows)
    assert {row["val_n"] for row in rows} == {"4"}
    assert len(lines) == 3
    assert lines[0].startswith("epoch  1/3  train loss ")


def test_results_tell_where_they_come_from(finished, dataset):
    run, results, _ = finished
    cache = prepare(dataset, 32, "nearest", progress=False)
    split = split_tiles(cache, RECIPE.split_seed)
    share = nuclei_share(cache, split.train)
    assert results["recipe"] == json.loads(json.dumps(dataclasses.asdict(RECIPE)))
    assert results["data"] == {
        "name": "sample",
        "path": str(dataset.resolve()),
        "digest": cache.digest,
        "split": "groups",
        "note": split.note,
        "train_tiles": 16,
        "validation_tiles": 4,
        "void_tiles": 1,
        "nuclei_share": pytest.approx(share),
        "class_weights": pytest.approx(balanced_class_weights(share).tolist()),
        "validation_groups": sorted(set(cache.groups[split.validation].tolist())),
        "validation_indices": split.validation.tolist(),
        "kinds": list(CLASS_NAMES),
        "kind_weights": weigh_kinds(cache, split.train),
    }
    assert results["model"] == {"parameters": 7_179_405, "encoder_start": "random"}
    assert results["environment"]["device"].startswith("CPU")
    assert results["evaluations"] == {}
    training = results["training"]
    assert (training["status"], training["epochs"]) == ("finished", 3)
    assert (training["early_stopping_epoch"], training["early_stopping_best_epoch"]) == (None, None)
    assert training["seconds"] == pytest.approx(sum(row["seconds"] for row in load_history(run)), abs=0.1)


def load_history(run: Path) -> list[dict]:
    return load_checkpoint(run / LAST)[1]["history"]


def test_best_and_last_checkpoints(finished, dataset):
    run, results, _ = finished
    rows = load_history(run)
    best = max(rows, key=lambda row: row["val_dice"])
    for name, row in (("best", best), ("last", rows[-1])):
        # JSON knows no NaN.
        assert results["training"][name] == {key: None if value != value else value for key, value in row.items()}
    assert results["training"]["best_epoch"] == best["epoch"]
    model, about = load_checkpoint(run / BEST)
    cache = prepare(dataset, 32, "nearest", progress=False)
    train_tiles = split_tiles(cache, RECIPE.split_seed).train
    assert about["um_per_px"] == 0.25 * 256 / 32
    assert about["data_digest"] == cache.digest
    assert about["training_tiles"] == tuple(sorted(cache.tile_digests[train_tiles].tolist()))
    assert (about["training_sources"], about["validation_groups"]) == ((), ())  # of no published set
    assert (model.img_size, model.dropout.p) == (32, 0.2)
    last, _ = load_checkpoint(run / LAST)
    equal = all(map(torch.equal, model.state_dict().values(), last.state_dict().values()))
    assert equal == (best["epoch"] == 3)


def test_interrupted_run_is_taken_up_to_the_bit(finished, dataset, run, monkeypatch):
    stop_in_second_epoch(monkeypatch, dataset, run)
    status = json.loads((run / RESULTS).read_text())["training"]
    assert (status["status"], status["epochs"], len(history(run))) == ("running", 1, 1)
    torch.manual_seed(99)  # chance must come from the recipe alone
    results, lines = train(dataset, run)
    assert [line[:10] for line in lines] == ["epoch  2/3", "epoch  3/3"]
    assert_same_run(run, finished[0])
    assert without_time(results) == without_time(finished[1])


def test_finished_run_says_so_and_changes_nothing(finished, dataset):
    run, results, _ = finished
    before = bytes_of(run)
    again, lines = train(dataset, run)
    assert lines == [f"{run}: finished after 3 epochs"]
    assert again == results
    assert bytes_of(run) == before


# One that tells kinds and parts nuclei.

EVERYTHING = {"network": "lite0-detail", "outputs": OUTPUTS, "random_crops": True, "epochs": 2}


def test_a_run_of_all_outputs_is_taken_up_to_the_bit(dataset, run, monkeypatch):
    results, lines = train(dataset, run / "whole", **EVERYTHING)
    assert len(lines) == 2
    assert results["data"]["kinds"] == list(CLASS_NAMES)
    assert results["recipe"]["outputs"] == list(OUTPUTS)
    assert Recipe(**results["recipe"]).outputs == OUTPUTS
    assert all(math.isfinite(float(row[name])) for row in history(run / "whole") for name in ("train_loss", "val_loss"))
    model, _ = load_checkpoint(run / "whole" / BEST)
    assert (model.name, model.outputs, model.kinds) == ("lite0-detail", OUTPUTS, CLASS_NAMES)
    stop_in_second_epoch(monkeypatch, dataset, run / "stopped", **EVERYTHING)
    torch.manual_seed(99)
    train(dataset, run / "stopped", **EVERYTHING)
    assert_same_run(run / "stopped", run / "whole")


def test_weights_of_kinds_by_hand(dataset):
    cache = prepare(dataset, 32, "nearest", progress=False)
    nuclei, annotated = np.zeros((20, 5), int), np.ones((20, 2), bool)
    nuclei[0], nuclei[1], nuclei[2] = [4, 0, 1, 0, 2], [0, 0, 3, 0, 10], [0, 50, 0, 0, 0]
    annotated[1] = False, True
    cache = dataclasses.replace(cache, nuclei=nuclei, annotated=annotated, kinds=("a", "b", "c", "d", "c"))
    assert cache.known_kinds == ("a", "b", "c")
    # Of tiles 0 and 1 the kinds of the first are known: 4 of a, none of b, 3 of c.
    weights = np.array([1 / 2, 1, 1 / math.sqrt(3)])
    assert weigh_kinds(cache, np.array([0, 1])) == pytest.approx((weights / weights.mean()).tolist())
    annotated[:] = False
    assert weigh_kinds(cache, np.arange(20)) == []


# The handling, with a small network.


@pytest.mark.usefixtures("_small")
def test_seed_decides_everything(dataset, run):
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        torch.manual_seed(len(name))
        train(dataset, run / name, seed=seed)
    assert_same_run(run / "first", run / "second")
    assert history(run / "first") != history(run / "third")


@pytest.mark.usefixtures("_small")
def test_runs_of_several_seeds_are_judged_on_the_same_tiles(dataset, run, follow):
    judged = {}
    for seed, split_seed in ((0, 0), (1, 0), (1, 1)):
        follow([0.1])
        results, _ = train(dataset, run / f"{seed}-{split_seed}", epochs=1, seed=seed, split_seed=split_seed)
        judged[seed, split_seed] = results["data"]["validation_groups"]
    cache = prepare(dataset, 32, "nearest", progress=False)
    assert judged[0, 0] == judged[1, 0] == sorted(set(cache.groups[split_tiles(cache, 0).validation].tolist()))
    assert judged[1, 1] == sorted(set(cache.groups[split_tiles(cache, 1).validation].tolist()))
    assert judged[1, 1] != judged[0, 0]


def test_run_trains_the_network_of_the_recipe(dataset, run):
    results, _ = train(dataset, run, network="smp-unet", epochs=1)
    model, state = load_checkpoint(run / LAST)
    assert (model.name, state["identity"]["recipe"]["network"]) == ("smp-unet", "smp-unet")
    assert results["model"] == {
        "parameters": count_parameters(comparisons.build_network("smp-unet")),
        "encoder_start": "random",
    }
    assert train(dataset, run, network="smp-unet", epochs=1)[0] == results


@pytest.mark.usefixtures("_small")
def test_names_of_published_sources_travel_with_the_checkpoints(dataset, run):
    copy = shutil.copytree(dataset, run / "named", ignore=shutil.ignore_patterns(".nuclei_cache"))
    np.save(copy / "Images/groups.npy", np.repeat([f"consep-train_{number}" for number in range(5)], 4))
    results, _ = train(copy, run / "run", epochs=1)
    (validated,) = results["data"]["validation_groups"]
    about = load_checkpoint(run / "run" / BEST)[1]
    assert about["validation_groups"] == (validated,)
    assert set(about["training_sources"]) == {f"consep-train_{number}" for number in range(5)} - {validated}


@pytest.mark.parametrize("network", comparisons.COMPARISONS)
def test_only_our_own_networks_start_from_imagenet(dataset, run, network):
    with pytest.raises(
        InputError, match=f"network '{network}': it can only start at random; set `pretrained` to False"
    ):
        train(dataset, run, network=network, pretrained=True)
    assert not run.exists()


@pytest.mark.usefixtures("_small")
def test_start_from_weights_of_another_network_is_refused(dataset, run):
    save_checkpoint(run / "init.pth", SmallNetwork("unet-wide"), training_tiles=[])
    with pytest.raises(InputError, match=r"init\.pth: expected weights of network 'unet', found those of 'unet-wide'"):
        train_run(dataset, run / "run", RECIPE, device=CPU, init=run / "init.pth", log=lambda line: None)


@pytest.mark.usefixtures("_small")
def test_boundary_weight_reaches_the_loss(dataset, run):
    losses = [train(dataset, run / f"{weight}", epochs=1, boundary_weight=weight)[0] for weight in (0.0, 2.0)]
    plain, weighted = (results["training"]["best"]["train_loss"] for results in losses)
    assert weighted > plain


@pytest.mark.usefixtures("_small")
def test_best_model_is_that_of_the_highest_dice(dataset, run, follow):
    script = follow([0.3, 0.6, 0.5, 0.6, 0.1], losses=[5.0, 4.0, 3.0, 2.0, 1.0])
    results, _ = train(dataset, run, epochs=5)
    assert results["training"]["best_epoch"] == 2  # the first of equals, whatever the loss
    assert (results["training"]["best"]["val_dice"], results["training"]["last"]["val_dice"]) == (0.6, 0.1)
    assert_same(load_checkpoint(run / BEST)[0].state_dict(), script.weights[1])
    assert_same(load_checkpoint(run / LAST)[0].state_dict(), script.weights[4])
    assert not torch.equal(script.weights[1]["head.weight"], script.weights[4]["head.weight"])


@pytest.mark.usefixtures("_small")
def test_early_stopping_watches_dice(dataset, run, follow):
    # The loss falls all the time; Dice is highest in epoch 2, and two epochs in a row are not higher.
    follow([0.3, 0.6, 0.5, 0.6, 0.9, 0.9], losses=[6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    results, lines = train(dataset, run, epochs=6, stop_early=True, early_stopping_patience=2)
    training = results["training"]
    assert (training["status"], training["epochs"], len(lines)) == ("finished", 4, 4)
    stopped = ("early_stopping_epoch", "early_stopping_best_epoch", "best_epoch")
    assert [training[key] for key in stopped] == [4, 2, 2]
    again, lines = train(dataset, run, epochs=6, stop_early=True, early_stopping_patience=2)
    assert again == results
    assert lines == [f"{run}: finished after 4 epochs"]


@pytest.mark.usefixtures("_small")
def test_run_goes_on_when_told_to_and_records_where_it_would_have_ended(dataset, run, follow):
    follow([0.3, 0.6, 0.5, 0.6, 0.9, 0.9])
    results, _ = train(dataset, run, epochs=6, stop_early=False, early_stopping_patience=2)
    training = results["training"]
    assert (training["status"], training["epochs"], training["best_epoch"]) == ("finished", 6, 5)
    assert (training["early_stopping_epoch"], training["early_stopping_best_epoch"]) == (4, 2)
    assert [float(row["val_dice"]) for row in history(run)] == [0.3, 0.6, 0.5, 0.6, 0.9, 0.9]


@pytest.mark.usefixtures("_small")
def test_schedule_watches_the_validation_loss_and_is_taken_up(dataset, run, follow):
    # Epochs 3 and 4 are not lower than epoch 2: the rate is halved after epoch 4, and again after 6.
    losses, dice = [2.0, 1.0, 1.5, 1.0, 1.2, 1.1, 1.0], [0.1] * 7
    script = follow(dice, losses)
    script.scores[3:] = []  # after three epochs there is nothing left to give
    with pytest.raises(IndexError):
        train(dataset, run, epochs=7, plateau_patience=1, learning_rate=0.5)
    follow(dice[3:], losses[3:])
    train(dataset, run, epochs=7, plateau_patience=1, learning_rate=0.5)
    assert [float(row["learning_rate"]) for row in history(run)] == [0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("epoch", [1, 2, 3])
@pytest.mark.parametrize("file", [BEST, LAST, HISTORY, RESULTS])
def test_run_killed_between_two_files(dataset, run, follow, monkeypatch, epoch, file):
    dice = [0.1, 0.2, 0.3]  # every epoch is the best
    follow(dice)
    train(dataset, run / "whole")

    written = []

    def killing(write: Callable) -> Callable:
        def killed(path: Path, *arguments, **more) -> None:
            written.append(path.name)
            if path.name == file and written.count(file) == epoch:
                raise KeyboardInterrupt
            write(path, *arguments, **more)

        return killed

    follow(dice)
    with monkeypatch.context() as patch:
        for name in ("save_checkpoint", "write_csv", "write_json"):
            patch.setattr(runs, name, killing(getattr(runs, name)))
        with pytest.raises(KeyboardInterrupt):
            train(dataset, run / "killed")
    # Where the last checkpoint was not yet written, the epoch is trained again.
    follow(dice[epoch - 1 if file in (BEST, LAST) else epoch :])
    train(dataset, run / "killed")
    assert_same_run(run / "killed", run / "whole")


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("start", ["imagenet", "imagenet, lite0"])
def test_imagenet_start_is_recorded_and_taken_up(dataset, run, monkeypatch, start):
    def load(model: SmallNetwork) -> str:
        nn.init.constant_(model.encoder[0].bias, 7.0)
        set_batch_norm_momentum(model.encoder, 0.01)
        return start

    monkeypatch.setattr(resume, "load_imagenet_weights", load)
    results, _ = train(dataset, run / "whole", pretrained=True)
    assert results["model"]["encoder_start"] == start
    stop_in_second_epoch(monkeypatch, dataset, run / "stopped", pretrained=True)
    train(dataset, run / "stopped", pretrained=True)
    # The running statistics go on at ImageNet's pace, not at that of a random start.
    assert_same_run(run / "stopped", run / "whole")


@pytest.mark.usefixtures("_small")
def test_evaluations_stay_in_the_results(dataset, run, follow):
    script = follow([0.1, 0.2, 0.3])
    script.scores[2:] = []
    with pytest.raises(IndexError):
        train(dataset, run)
    results = json.loads((run / RESULTS).read_text())
    results["evaluations"] = {"elsewhere": {"dice": 0.5, "times": 2}}
    (run / RESULTS).write_text(json.dumps(results))
    follow([0.3])
    results, _ = train(dataset, run)
    assert results["training"]["epochs"] == 3
    assert results["evaluations"] == {"elsewhere": {"dice": 0.5, "times": 2}}
    assert train(dataset, run)[0] == results


@pytest.fixture
def _finished_small(_small, dataset, run, follow) -> None:
    """A finished run of the small network."""
    follow([0.1, 0.2, 0.3])
    train(dataset, run)


@pytest.mark.usefixtures("_finished_small")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.5}, "learning_rate 0.001, now 0.5"),
        ({"seed": 3}, "seed 0, now 3"),
        ({"split_seed": 3}, "split_seed 0, now 3"),
        ({"network": "unet-wide"}, "network 'unet', now 'unet-wide'"),
        ({"boundary_weight": 1.0}, "boundary_weight 0.0, now 1.0"),
        ({"epochs": 4}, "epochs 3, now 4"),
        ({"name": "other", "dropout": 0.0}, "name 'test', now 'other'; dropout 0.2, now 0.0"),
        ({"image_size": 64}, "image_size 32, now 64"),
    ],
)
def test_other_recipe_is_refused(dataset, run, change, message):
    before = bytes_of(run)
    with pytest.raises(InputError) as caught:
        train(dataset, run, **change)
    assert str(caught.value) == f"{run}: holds a run with {message}; give a new folder or the same arguments"
    assert bytes_of(run) == before


@pytest.mark.usefixtures("_finished_small")
def test_other_data_are_refused(dataset, run, tmp_path):
    before = bytes_of(run)
    other = shutil.copytree(dataset, tmp_path / "other", ignore=shutil.ignore_patterns(".*"))
    images = np.load(other / "Images" / "images.npy", mmap_mode="r+")
    images[0, 0, 0, 0] ^= 1  # one grey level of one pixel
    images.flush()
    digests = [prepare(folder, 32, "nearest", progress=False).digest for folder in (dataset, other)]
    with pytest.raises(InputError, match=f"data '{digests[0]}', now '{digests[1]}'"):
        train(other, run)
    # Another way to divide the same data is another run too.
    (other / "Images" / "groups.npy").unlink()
    images[0, 0, 0, 0] ^= 1
    images.flush()
    with pytest.raises(InputError, match="holds a run with split 'groups', now 'tissue'; give"):
        train(other, run)
    assert bytes_of(run) == before


@pytest.mark.usefixtures("_finished_small")
def test_data_may_move(dataset, run, tmp_path):
    before = bytes_of(run)
    moved = shutil.copytree(dataset, tmp_path / "moved", ignore=shutil.ignore_patterns(".*"))
    assert train(moved, run)[1] == [f"{run}: finished after 3 epochs"]
    assert bytes_of(run) == before


@pytest.mark.usefixtures("_finished_small")
@pytest.mark.parametrize("left", [[BEST], [RESULTS], [BEST, HISTORY, RESULTS]])
def test_results_without_a_last_checkpoint_are_not_overwritten(dataset, run, left):
    for name in {BEST, LAST, HISTORY, RESULTS} - set(left):
        (run / name).unlink()
    before = bytes_of(run)
    with pytest.raises(InputError, match=r"holds results but no last\.pth, so it cannot be resumed"):
        train(dataset, run)
    assert bytes_of(run) == before


@pytest.mark.usefixtures("_finished_small")
def test_damaged_files_of_a_run(dataset, run):
    whole = (run / LAST).read_bytes()
    (run / LAST).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"last\.pth: expected a whole checkpoint"):
        train(dataset, run)
    (run / LAST).write_bytes(whole)
    (run / RESULTS).write_text('{"training": ')
    with pytest.raises(InputError, match=r"results\.json: expected JSON"):
        train(dataset, run)


@pytest.mark.usefixtures("_finished_small")
def test_lost_results_are_written_again(dataset, run):
    before = json.loads((run / RESULTS).read_text())
    (run / RESULTS).unlink()
    results, _ = train(dataset, run)
    assert results == before | {"training": before["training"] | {"date": results["training"]["date"]}}


@pytest.mark.usefixtures("_small")
def test_start_without_imagenet_weights_is_recorded(dataset, run, monkeypatch, follow, capsys):
    monkeypatch.setattr(resume, "load_imagenet_weights", lambda model: "random")
    follow([0.1, 0.2, 0.3])
    results, _ = train(dataset, run, pretrained=True)
    assert results["model"]["encoder_start"] == "random"
    assert results["recipe"]["pretrained"] is True
    assert capsys.readouterr() == ("", "")  # progress is off unless asked for


# Nothing lost.


class Spoilt(BinarySegLoss):
    """Gives no number where `spoilt` says so, of the batches that are trained on."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.calls = 0

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Give the loss, or no number."""
        loss = super().forward(logits, masks)
        if not logits.requires_grad:
            return loss
        self.calls += 1
        return loss * math.nan if self.spoilt(self.calls) else loss

    spoilt = staticmethod(lambda call: False)


@pytest.mark.usefixtures("_small")
def test_steps_that_are_not_finite_are_skipped_counted_and_reported(dataset, run, monkeypatch):
    monkeypatch.setattr(runs, "BinarySegLoss", Spoilt)
    monkeypatch.setattr(Spoilt, "spoilt", staticmethod(lambda call: call == 2))  # in the first of epoch 1's two steps
    results, lines = train(dataset, run)
    assert [row["skipped_steps"] for row in history(run)] == ["1", "0", "0"]
    assert results["training"]["skipped_steps"] == 1
    assert [line.endswith("steps skipped 1") for line in lines] == [True, False, False]
    for name in (BEST, LAST):
        model, _ = load_checkpoint(run / name)
        assert all(weights.isfinite().all() for weights in model.state_dict().values())


@pytest.mark.usefixtures("_small")
def test_too_many_such_steps_end_the_run_and_keep_the_last_epoch(dataset, run, monkeypatch):
    monkeypatch.setattr(runs, "BinarySegLoss", Spoilt)
    monkeypatch.setattr(Spoilt, "spoilt", staticmethod(lambda call: call > 16))
    with pytest.raises(InputError, match="in 10 steps in a row; the last whole epoch is kept"):
        train(dataset, run, batch_size=1, accumulation_steps=1)
    assert len(history(run)) == 1
    model, state = load_checkpoint(run / LAST)
    assert len(state["history"]) == 1
    assert all(weights.isfinite().all() for weights in model.state_dict().values())


@pytest.fixture
def short(monkeypatch) -> list[int]:
    """Let the memory suffice for two tiles at a time and no more; give the sizes of the batches that were tried."""
    tried: list[int] = []
    forward = SmallNetwork.forward

    def forward_if_small(self, images: Tensor) -> Tensor:
        if self.training:
            tried.append(len(images))
            if len(images) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, images)

    monkeypatch.setattr(SmallNetwork, "forward", forward_if_small)
    return tried


@pytest.mark.usefixtures("_small")
def test_out_of_memory_halves_the_batch_once_and_says_so(dataset, run, short):
    results, lines = train(dataset, run)
    assert lines[0] == "out of memory: from here on 2 tiles at a time in place of 4, and twice as many batches a step"
    assert [line[:10] for line in lines[1:]] == ["epoch  1/3", "epoch  2/3", "epoch  3/3"]
    assert short == [4] + 3 * 8 * [2]
    assert results["training"]["batches_halved"]
    assert results["recipe"]["batch_size"] == 4  # it is the same run


@pytest.mark.usefixtures("_small")
def test_halved_batches_are_taken_up(dataset, run, short, monkeypatch):
    stop_in_second_epoch(monkeypatch, dataset, run / "stopped")
    _, lines = train(dataset, run / "stopped")
    assert not any(line.startswith("out of memory") for line in lines)
    train(dataset, run / "whole")
    assert_same_run(run / "stopped", run / "whole")


@pytest.mark.usefixtures("_small", "short")
@pytest.mark.parametrize("batch_size", [8, 3 * 4])
def test_out_of_memory_twice_ends_the_run(dataset, run, batch_size):
    with pytest.raises(InputError, match=f"found too little memory for {batch_size // 2} tiles at a time"):
        train(dataset, run, batch_size=batch_size)
    assert not (run / LAST).exists()


@pytest.mark.usefixtures("_small")
def test_two_runs_do_not_share_a_folder(dataset, run):
    with locked(run), pytest.raises(InputError, match="run: another process is at work in it"):
        train(dataset, run)
    train(dataset, run)


@pytest.mark.usefixtures("_small")
def test_what_a_killed_process_left_half_written_is_removed(dataset, run):
    run.mkdir()
    for name in (".last.4711.pth", ".results.12.json"):
        (run / name).write_bytes(b"half")
    own = (".notes.12.txt", ".last.old.pth")
    for name in own:
        (run / name).write_bytes(b"a user's own")
    train(dataset, run)
    assert sorted(path.name for path in run.iterdir()) == sorted([LOCK, BEST, LAST, HISTORY, RESULTS, *own])
