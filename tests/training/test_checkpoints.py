"""Checkpoints: what comes back, what is refused, and that a file is whole or as it was."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from helpers.config import OUTPUTS
from helpers.errors import InputError
from helpers.inference.trained_model import load_model
from helpers.model import EfficientNetSegmentation
from helpers.networks import NucleiNetwork
from helpers.sources import Seen
from helpers.training.checkpoints import FORMAT, add_sources, export_weights, load_checkpoint, save_checkpoint
from helpers.training.comparisons import NETWORK_NAMES, build_network


@pytest.fixture(scope="module")
def model() -> EfficientNetSegmentation:
    torch.manual_seed(0)
    model = EfficientNetSegmentation(img_size=96, num_classes=3, dropout=0.35)
    with torch.no_grad():
        model.train()(torch.randn(2, 3, 64, 64))  # so that the running statistics are not those of a new network
    return model.eval()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory) -> Iterator[Path]:
    """A checkpoint; 29 MB, so all tests share it and none changes it."""
    folder = tmp_path_factory.mktemp("saved")
    save_checkpoint(folder / "model.pth", model, epoch=3, history=[{"epoch": 1, "val_dice": 0.5}], name="ä")
    yield folder / "model.pth"
    shutil.rmtree(folder)


@pytest.fixture
def path(tmp_path) -> Iterator[Path]:
    """Where a test may write; removed at once, for pytest would keep it."""
    yield tmp_path / "model.pth"
    shutil.rmtree(tmp_path)


def refusal(path: Path) -> str:
    """Load and return the message of the refusal, which names the file in one line."""
    with pytest.raises(InputError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_what_comes_back_is_what_was_saved(model, saved):
    loaded, more = load_checkpoint(saved)
    assert list(saved.parent.iterdir()) == [saved]
    assert more == {"format": FORMAT, "epoch": 3, "history": [{"epoch": 1, "val_dice": 0.5}], "name": "ä"}
    assert (loaded.img_size, loaded.in_channels, loaded.num_classes, loaded.dropout.p) == (96, 3, 3, 0.35)
    assert not loaded.training
    images = torch.randn(2, 3, 70, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(images), model(images))
    before, after = model.state_dict(), loaded.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_every_network_comes_back(path, name):
    torch.manual_seed(1)
    model = build_network(name, 64, 0.3, num_classes=2).eval()
    save_checkpoint(path, model)
    loaded, _ = load_checkpoint(path)
    assert type(loaded) is type(model)
    found = (loaded.name, loaded.img_size, loaded.in_channels, loaded.num_classes, loaded.dropout.p)
    assert found == (name, 64, 3, 2, 0.3)
    images = torch.randn(1, 3, 40, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(images), model(images))


@pytest.mark.parametrize("name", ["lite0-detail", "unet"])
def test_a_network_that_tells_kinds_comes_back_and_is_exported(path, name):
    torch.manual_seed(1)
    model = build_network(name, 64, 0.3, outputs=OUTPUTS, kinds=("a", "b", "c")).eval()
    images = torch.randn(1, 3, 40, 64)
    save_checkpoint(path, model, um_per_px=0.5, training_tiles=["a"])
    loaded, _ = load_checkpoint(path)
    weights = path.with_suffix(".safetensors")
    export_weights(path, weights)
    exported = load_model(weights).network
    with torch.inference_mode():
        expected, found, of_halves = (network(images) for network in (model, loaded, exported))
    assert list(expected) == list(found) == list(of_halves) == list(OUTPUTS)
    for network in (loaded, exported):
        assert (type(network), network.name) == (NucleiNetwork, name)
        assert (network.outputs, network.kinds) == (OUTPUTS, ("a", "b", "c"))
    for key, values in expected.items():
        assert torch.equal(found[key], values)
        torch.testing.assert_close(of_halves[key], values, atol=0.02, rtol=0.02)  # weights in float16
        assert values.std() > 0


@pytest.mark.parametrize(
    ("name", "reason"), [("unet-wide", "size mismatch"), ("other", "network 'other': expected one of")]
)
def test_weights_under_another_networks_name(saved, path, name, reason):
    checkpoint = torch.load(saved, weights_only=True)
    checkpoint["architecture"]["name"] = name
    torch.save(checkpoint, path)
    message = refusal(path)
    assert "the weights are those of another network" in message
    assert reason in message


def test_weights_that_are_loaded_in_inference_mode_are_fit_for_gradients(saved):
    with torch.inference_mode():
        network, _ = load_checkpoint(saved)
    network(torch.zeros(1, 3, 32, 32)).sum().backward()
    assert network.head.bias.grad.item() == 32 * 32


def test_optimizer_comes_back_too(path):
    model = EfficientNetSegmentation()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    model.head(torch.ones(1, 16, 2, 2)).sum().backward()
    optimizer.step()
    save_checkpoint(path, model, optimizer=optimizer.state_dict())
    state = load_checkpoint(path)[1]["optimizer"]
    assert state["param_groups"][0]["lr"] == 0.02
    moments = [entry["exp_avg"] for entry in state["state"].values()]
    torch.testing.assert_close(moments, [torch.full((1, 16, 1, 1), 0.4), torch.tensor([0.4])])  # 0.1 x 4 pixels


def test_missing_file_or_folder_in_its_place(path):
    assert "no such checkpoint; train a network first" in refusal(path)
    path.mkdir()
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize("share", [0.0, 1e-7, 1e-5, 0.3, 0.7, 0.999, 0.999999])
def test_truncated_file(saved, path, share):
    whole = saved.stat().st_size
    size = int(whole * share)
    assert size < whole
    with open(saved, "rb") as source:
        path.write_bytes(source.read(size))
    assert "expected a whole checkpoint of plain tensors" in refusal(path)


@pytest.mark.parametrize(
    "content", [b"\n", b"epoch,val_dice\n1,0.5\n", b"\x89PNG\r\n\x1a\n" + bytes(100), b"PK\x03\x04" + bytes(200)]
)
def test_files_of_other_kinds(path, content):
    path.write_bytes(content)
    assert "expected a whole checkpoint of plain tensors" in refusal(path)


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        """Say how to be built: by making the folder."""
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_the_file_does_not_run(path, zipped):
    trace = path.with_name("code-ran")
    torch.save({"format": FORMAT, "model": Code(trace)}, path, _use_new_zipfile_serialization=zipped)
    assert "expected a whole checkpoint of plain tensors" in refusal(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # the trap works


def test_whole_network_in_the_file_is_refused(path):
    torch.save(nn.Linear(2, 2), path)
    assert "expected a whole checkpoint of plain tensors" in refusal(path)


@pytest.mark.parametrize("value", [{}, {"format": FORMAT + 1}, [1, 2], torch.zeros(3), nn.Linear(2, 2).state_dict()])
def test_other_peoples_checkpoints(path, value):
    torch.save(value, path)
    assert f"that this package wrote (format {FORMAT}), found another file" in refusal(path)


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_weights_of_another_network(saved, path, change):
    checkpoint = torch.load(saved, weights_only=True)
    weights = checkpoint["model"]
    if change == "missing":
        del weights["head.bias"]
    elif change == "more":
        weights["head.extra"] = torch.zeros(1)
    else:
        weights["head.weight"] = torch.zeros(6, 16, 1, 1)
    torch.save(checkpoint, path)
    message = refusal(path)
    assert "the weights are those of another network" in message
    assert {"missing": "head.bias", "more": "head.extra", "shape": "head.weight"}[change] in message


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_save_leaves_the_old_file(path, model, monkeypatch, error):
    path.write_bytes(b"the old file")

    def save(_value: object, file: Path) -> None:
        Path(file).write_bytes(b"half of the new")
        raise error

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(type(error)):
        save_checkpoint(path, model)
    assert path.read_bytes() == b"the old file"
    assert list(path.parent.iterdir()) == [path]


# What exported weights have learnt from.


def test_names_are_added_and_the_tensors_stay_to_the_byte(model, path):
    save_checkpoint(path, model, um_per_px=0.5, training_tiles=["b", "a"])
    weights = path.with_name("old.safetensors")
    digest = export_weights(path, weights, temperature=1.5)
    before = load_model(weights)
    assert before.seen == Seen(("b", "a"), None)
    tensors = weights.read_bytes()[-sum(value.nbytes for value in load_file(weights).values()) :]
    add_sources(weights, ["TCGA-18-5592-01Z-00-DX1", "nuinsseg-07", "slide 1"], {"nuinsseg-00", "slide 2"})
    after = load_model(weights)
    assert after.seen == Seen(("a", "b"), ("TCGA-18-5592", "nuinsseg"), ("nuinsseg-00",))
    assert dataclasses.replace(after, seen=before.seen, network=before.network) == before
    assert after.digest == digest
    assert weights.read_bytes().endswith(tensors)


def test_names_are_not_added_to_what_is_no_weights(path):
    with pytest.raises(InputError, match="there are no such weights"):
        add_sources(path.with_suffix(".safetensors"), [], [])
