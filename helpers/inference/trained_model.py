"""The shipped model: weights that go from hand to hand, with all that is needed to use them rightly inside the file."""

import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers.config import LOGIT_THRESHOLD
from helpers.devices import on_device
from helpers.errors import InputError
from helpers.model import EfficientNetSegmentation
from helpers.networks import build_own_network
from helpers.paths import as_path
from helpers.sources import Seen

NAME = "nuclei_lite0.safetensors"
_INSTALLED = Path(__file__).parents[1] / "models" / NAME  # where the wheel puts what the project tracks in `models/`
WEIGHTS = _INSTALLED if _INSTALLED.exists() else Path(__file__).parents[2] / "models" / NAME
KEY, FORMAT = "nuclei", 2


@dataclass(frozen=True)
class TrainedModel:
    """A network and what must be known to use it.

    Attributes:
        network: in evaluation mode, float32.
        um_per_px: the scale it was trained at, in micrometres a pixel of its input.
        threshold_logit: logit from which a pixel counts as nucleus; as a logit it does not move with the temperature.
        temperature: what its logits are divided by to make probabilities that hold, as `calibration` fitted it.
        attention: the map to look at, named as in `faithfulness.all_maps`.
        seen: what it was trained on, to know that again.
        digest: SHA-256 over the names and values of its weights.
    """

    network: EfficientNetSegmentation
    um_per_px: float
    threshold_logit: float = LOGIT_THRESHOLD
    temperature: float = 1.0
    attention: str = "Grad-CAM, decoder 1"
    seen: Seen = Seen()
    digest: str = ""


@torch.inference_mode(False)  # a caller's own would leave weights that no gradient can pass
def load_model(path: Path | str = WEIGHTS) -> TrainedModel:
    """Load shipped weights, checked: that they are whole, of this network, and of a known scale.

    Args:
        path: a file that `export_weights` wrote, or a folder that holds one; the project's own by default.

    Returns:
        the network, ready for use, with its scale, threshold, temperature and map.

    Raises:
        InputError: there is no such file, it is another kind of file, damaged, or the weights of another network.
    """
    path = find_weights(as_path(path)) or as_path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: there are no such weights; give the path of a .safetensors file, or none for the shipped model"
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: expected whole weights in safetensors format, it cannot be read: {error}") from None
    try:
        about = json.loads(metadata.get(KEY, "{}"))
        found = about.get("format")
    except (AttributeError, ValueError) as error:
        raise InputError(f"{path}: the description inside the file is damaged ({error!r}); fetch it again") from None
    if found != FORMAT:
        raise InputError(f"{path}: expected weights that this package exported (format {FORMAT}), found format {found}")
    try:
        um_per_px, *decision = (float(about[key]) for key in ("um_per_px", "threshold_logit", "temperature"))
        architecture, digest, seen = about["architecture"], about["sha256"], Seen.read(about)
        attention = str(about["attention"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the description inside the file is damaged ({error!r}); fetch it again") from None
    if not (0.05 <= um_per_px <= 4 and abs(decision[0]) < 20 and 0.05 <= decision[1] <= 20):
        raise InputError(
            f"{path}: expected a scale in um/px, a threshold as logit and a temperature, found {um_per_px}, "
            f"{decision[0]} and {decision[1]}; fetch it again"
        )
    if (found := digest_tensors(tensors)) != digest:
        raise InputError(
            f"{path}: the weights have changed: digest {found[:12]}, expected {digest[:12]}; fetch it again"
        )
    try:
        network = build_own_network(**architecture)
        network.load_state_dict(tensors)  # copies into float32
    except (InputError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{path}: the weights are those of another network: {reason}") from None
    return TrainedModel(network.eval(), um_per_px, *decision, attention, seen, digest)


def find_weights(source: Path) -> Path | None:
    """Give the weights that a path names, or that stand alone of their kind in a folder; None where it has none."""
    found = [source] if source.suffix == WEIGHTS.suffix else sorted(source.glob(f"*{WEIGHTS.suffix}"))
    return found[0] if len(found) == 1 else None


@functools.cache
def shipped_model(device: str = "cpu") -> TrainedModel:
    """Load the shipped model onto a device once, and give it from then on."""
    model = load_model()
    return dataclasses.replace(model, network=on_device(model.network, device))


def digest_tensors(tensors: dict[str, Tensor]) -> str:
    """Give the SHA-256 over names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
