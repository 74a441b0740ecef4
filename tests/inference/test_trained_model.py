"""The shipped weights: what goes in comes out, and what does not fit is refused with a reason."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_run import make_network

from helpers.errors import InputError
from helpers.inference.torch_weights import digest_tensors
from helpers.inference.trained_model import WEIGHTS, load_model
from helpers.sources import Seen, source_name
from helpers.training.checkpoints import export_weights, save_checkpoint
from helpers.training.comparisons import build_network

TILES = [f"{number:016x}" for number in range(40)]
SEEN = Seen(tuple(TILES), ("TCGA-18-5592", "nuinsseg"), ("nuinsseg-00",))


@pytest.fixture(scope="module")
def network():
    return make_network(64)


@pytest.fixture
def weights(network, tmp_path):
    """An exported file."""
    save_checkpoint(tmp_path / "best.pth", network, um_per_px=1.0, **dataclasses.asdict(SEEN))
    export_weights(tmp_path / "best.pth", tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def rewrite(path, change) -> None:
    """Write a file again after `change(tensors, about)`."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["nuclei"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tensors, about)
    save_file(tensors, path, {"nuclei": json.dumps(about)} if about else None)


def test_what_goes_in_comes_out(network, weights):
    model = load_model(weights)
    assert (model.um_per_px, model.threshold_logit, model.temperature, model.network.img_size) == (1.0, 0.0, 1.0, 64)
    assert model.seen == SEEN
    assert not model.network.training
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = network(images).sigmoid(), model.network(images).sigmoid()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)  # float16 keeps three digits
    assert expected.std() > 0.01


def test_weights_that_are_loaded_in_inference_mode_are_fit_for_gradients(weights):
    with torch.inference_mode():
        network = load_model(weights).network
    network(torch.zeros(1, 3, 32, 32)).sum().backward()
    assert network.head.bias.grad.item() == 32 * 32


def test_learnt_weights_take_half_the_room_and_statistics_stay_whole(network, weights):
    own = network.state_dict()
    with safe_open(weights, "pt") as file:
        for name in file.keys():  # noqa: SIM118
            saved = file.get_tensor(name)
            if "running" in name:
                assert torch.equal(saved, own[name]), name
            elif "num_batches" not in name:
                assert saved.dtype == torch.float16, name
                torch.testing.assert_close(saved.float(), own[name], rtol=1e-3, atol=1e-7)
    assert weights.stat().st_size < 30e6


def test_digest_is_that_of_names_and_values(weights):
    digest = load_model(weights).digest
    with safe_open(weights, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert digest_tensors(dict(reversed(tensors.items()))) == digest
    name = "head.weight"
    assert digest_tensors(tensors | {name: tensors[name] + 1}) != digest
    assert digest_tensors({f"{key}x" if key == name else key: value for key, value in tensors.items()}) != digest


def drop_head(tensors: dict, about: dict) -> None:
    del tensors["head.weight"]
    about["sha256"] = digest_tensors(tensors)


def change_architecture(tensors: dict, about: dict) -> None:
    about["architecture"]["in_channels"] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, _: tensors["head.weight"].add_(1), "the weights have changed: digest"),
        (drop_head, "of another network: .*head.weight"),
        (change_architecture, "of another network: .*size mismatch"),
        (
            lambda _, about: about.clear(),
            "expected weights that this package exported .format 2., found format None",
        ),
        (lambda _, about: about.update(format=1), "found format 1"),
        (lambda _, about: about.pop("um_per_px"), "description inside the file is damaged"),
        (lambda _, about: about.update(um_per_px="0"), "expected a scale in um/px"),
        (lambda _, about: about.update(um_per_px="nan"), "expected a scale in um/px"),
        (
            lambda _, about: about.update(threshold_logit="inf"),
            "threshold as logit and a temperature, found 1.0, inf",
        ),
        (lambda _, about: about.update(temperature=0), "a temperature, found 1.0, 0.0 and 0.0"),
        (lambda _, about: about["architecture"].update(name="vit"), "of another network: network 'vit'"),
        (lambda _, about: about.update(architecture=[3]), "of another network"),
        (lambda _, about: about.update(training_tiles=None), "description inside the file is damaged"),
    ],
)
def test_what_does_not_fit_is_refused(weights, change, message):
    rewrite(weights, change)
    with pytest.raises(InputError, match=message) as refusal:
        load_model(weights)
    assert str(refusal.value).startswith(str(weights))


def test_other_files_are_refused(weights, tmp_path):
    with pytest.raises(InputError, match="there are no such weights"):
        load_model(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="expected whole weights in safetensors format"):
        load_model(tmp_path / "best.pth")
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(InputError, match="expected whole weights in safetensors format"):
        load_model(weights)


def test_the_projects_own_weights():
    if not WEIGHTS.exists():
        pytest.skip("no weights are shipped yet")
    model = load_model()
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    assert parameters <= 7.5e6
    assert WEIGHTS.stat().st_size <= 30e6
    reported = json.loads((WEIGHTS.parent / "results.json").read_text("utf-8"))
    assert reported["shipped"]["digest"] == model.digest
    run = reported["runs"][reported["shipped"]["run"]]
    assert run["model"]["parameters"] == parameters
    seen, validation = model.seen, run["data"]["validation_groups"]
    assert len(seen.training_tiles) == len(set(seen.training_tiles)) <= run["data"]["train_tiles"]
    assert list(seen.validation_groups) == validation
    # 24 images of MoNuSeg, each of a patient, 22 of CoNSeP, and NuInsSeg; nothing that validated but of the last.
    assert len(seen.training_sources) == 24 + 22 + 1
    assert {source_name(group) for group in validation} & set(seen.training_sources) == {"nuinsseg"}
    assert not any(seen.knows(validation))
    for entry in reported["shipped"]["evaluations"].values():  # of its validation part and of the test sets
        assert not any(seen.knows(image["name"] for image in entry["images"]))
    assert np.isclose(model.um_per_px, 0.25 * 256 / run["recipe"]["image_size"])


def test_changes_of_the_network_are_told_apart(tmp_path):
    network = build_network("unet-stem1", 64)
    save_checkpoint(tmp_path / "best.pth", network, um_per_px=1.0, training_tiles=TILES)
    export_weights(tmp_path / "best.pth", tmp_path / "weights.safetensors", temperature=1.5)
    model = load_model(tmp_path / "weights.safetensors")
    assert (model.network.name, model.temperature) == ("unet-stem1", 1.5)
    assert model.network.encoder._conv_stem.stride == (1, 1)


def test_networks_to_compare_with_are_not_exported(tmp_path):
    network = build_network("smp-unet", 64)
    save_checkpoint(tmp_path / "best.pth", network, um_per_px=1.0, training_tiles=TILES)
    with pytest.raises(InputError, match=r"best\.pth: expected one of the networks unet, .*found 'smp-unet'"):
        export_weights(tmp_path / "best.pth", tmp_path / "weights.safetensors")
    assert not (tmp_path / "weights.safetensors").exists()
