"""Networks on disk: written whole or not at all, read without running code from the file."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from helpers.config import LOGIT_THRESHOLD
from helpers.errors import InputError
from helpers.files import written_whole
from helpers.inference.onnx_network import KEY
from helpers.inference.torch_weights import digest_tensors
from helpers.inference.trained_model import FORMAT as WEIGHTS_FORMAT
from helpers.inference.trained_model import load_model
from helpers.networks import OWN_NETWORKS, NucleiNetwork
from helpers.paths import as_path
from helpers.sources import Seen
from helpers.training.comparisons import build_network

FORMAT = 1
REMEMBERED = ("name", "img_size", "in_channels", "num_classes")


def save_checkpoint(path: Path, model: nn.Module, **more: object) -> None:
    """Save a network, as from `comparisons.build_network`, with what is needed to build it again.

    Beside it `more` tensors, numbers, strings, lists and dictionaries of such are kept.
    """
    architecture = describe_architecture(model) | {"dropout": model.dropout.p}
    with written_whole(path) as temporary:
        torch.save({"format": FORMAT, "architecture": architecture, "model": model.state_dict()} | more, temporary)


def describe_architecture(model: nn.Module) -> dict[str, object]:
    """Say what a network is built by, as keywords of `comparisons.build_network`."""
    described = {name: getattr(model, name) for name in REMEMBERED}
    if isinstance(model, NucleiNetwork):
        described |= {"outputs": list(model.outputs), "kinds": list(model.kinds)}
    return described


@torch.inference_mode(False)  # a caller's own would leave weights that no gradient can pass
def load_checkpoint(path: Path) -> tuple[nn.Module, dict]:
    """Load a network in evaluation mode, on the CPU, and what was saved beside it.

    Raises:
        InputError: the file is missing, damaged, holds code, or is a checkpoint of something else.
    """
    path = as_path(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such checkpoint; train a network first") from None
    except Exception as error:  # on a file of another kind torch's reader fails in a dozen ways, IndexError among them
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: expected a whole checkpoint of plain tensors, it cannot be read: {reason}") from None
    if not isinstance(checkpoint, dict) or checkpoint.get("format") != FORMAT:
        raise InputError(f"{path}: expected a checkpoint that this package wrote (format {FORMAT}), found another file")
    try:
        model = build_network(**checkpoint.pop("architecture"))
        model.load_state_dict(checkpoint.pop("model"))
    except (InputError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{path}: the weights are those of another network: {reason}") from None
    return model.eval(), checkpoint


def export_weights(
    checkpoint: Path, path: Path, temperature: float = 1.0, attention: str = "Grad-CAM, decoder 1"
) -> str:
    """Write the weights of a checkpoint as safetensors, in float16 where they are learnt.

    Batch norm's statistics stay float32: they span more than float16 does.

    Args:
        checkpoint: as `run.train_run` writes them.
        path: the file to write.
        temperature: as from `calibration.fit_temperature`; 1 leaves the probabilities as the network gives them.
        attention: the map that stood its tests best, as `verdicts.prefer_map` names it.

    Returns:
        the digest that `load_model` checks.

    Raises:
        InputError: the checkpoint is not of an `EfficientNetSegmentation` (`networks.OWN_NETWORKS`).
    """
    checkpoint, path = as_path(checkpoint), as_path(path)
    network, about = load_checkpoint(checkpoint)
    if network.name not in OWN_NETWORKS:
        raise InputError(
            f"{checkpoint}: expected one of the networks {', '.join(OWN_NETWORKS)}, found {network.name!r}, which is "
            "here to compare with and cannot be exported"
        )
    learnt = {name for name, _ in network.named_parameters()}
    tensors = {
        name: (value.half() if name in learnt else value).contiguous() for name, value in network.state_dict().items()
    }
    digest = digest_tensors(tensors)
    description = {
        "format": WEIGHTS_FORMAT,
        "architecture": describe_architecture(network),
        "um_per_px": about["um_per_px"],
        "threshold_logit": LOGIT_THRESHOLD,
        "temperature": temperature,
        "attention": attention,
        **dataclasses.asdict(Seen.read(about)),
        "sha256": digest,
        "licence": "CC BY-NC-SA 4.0",
    }
    _write(path, tensors, description)
    return digest


def add_sources(path: Path, training: Iterable[str], validation: Iterable[str]) -> None:
    """Write into weights that were exported before names travelled from which groups they learnt.

    The tensors stay as they are to the byte, and with them the digest that `load_model` checks.

    Args:
        path: a file that `export_weights` wrote.
        training: groups, as in `groups.npy`, of all tiles they were trained on.
        validation: groups that chose their epoch.

    Raises:
        InputError: there are no such weights, or they are damaged.
    """
    seen = dataclasses.replace(load_model(path).seen, training_sources=()).and_then((), training, validation)
    with safe_open(path, "pt") as file:
        description = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
    _write(path, tensors, description | dataclasses.asdict(seen))


def _write(path: Path, tensors: dict[str, Tensor], description: dict) -> None:
    with written_whole(path) as temporary:
        # Under one key: the format does not keep the order of several, and the same weights shall be the same bytes.
        save_file(tensors, temporary, {KEY: json.dumps(description)})
