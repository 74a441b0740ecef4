"""The shipped model: weights that go from hand to hand, with all that is needed to use them rightly inside the file.

PyTorch is imported when a network of its own is asked for, and not before: it takes longer than a first picture does.
"""

import dataclasses
import functools
import importlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers.config import LOGIT_THRESHOLD
from helpers.errors import InputError
from helpers.inference.onnx_network import ONNX_SUFFIX, OnnxNetwork, open_onnx
from helpers.paths import as_path
from helpers.sources import Seen

if TYPE_CHECKING:
    from torch import nn

NAME = "nuclei_lite0.safetensors"
_INSTALLED = Path(__file__).parents[1] / "models" / NAME  # where the wheel puts what the project tracks in `models/`
WEIGHTS = _INSTALLED if _INSTALLED.exists() else Path(__file__).parents[2] / "models" / NAME
ONNX = WEIGHTS.with_suffix(ONNX_SUFFIX)  # of the same weights
INT8 = WEIGHTS.with_name(f"{WEIGHTS.stem}_int8{ONNX_SUFFIX}")  # the same in integers of 8 bits, by `integers`
NAMED = {"int8": INT8}  # what `load_model` knows by a name; a folder of that name is reached by its full path
FORMAT = 2


@dataclass(frozen=True)
class TrainedModel:
    """A network and what must be known to use it.

    Attributes:
        network: PyTorch's, in evaluation mode and float32, or ONNX Runtime's.
        um_per_px: the scale it was trained at, in micrometres a pixel of its input.
        threshold_logit: logit from which a pixel counts as nucleus; as a logit it does not move with the temperature.
        temperature: what its logits are divided by to make probabilities that hold, as `calibration` fitted it.
        attention: the map to look at, named as in `faithfulness.all_maps`.
        seen: what it was trained on, to know that again.
        digest: SHA-256 over the names and values of its weights; of a network in integers, over its whole graph.
    """

    network: "nn.Module | OnnxNetwork"
    um_per_px: float
    threshold_logit: float = LOGIT_THRESHOLD
    temperature: float = 1.0
    attention: str = "Grad-CAM, decoder 1"
    seen: Seen = Seen()
    digest: str = ""

    def run(self, tiles: np.ndarray, device: object = "cpu") -> dict[str, np.ndarray]:
        """Predict all that the network tells of every pixel of tiles that have its scale.

        Args:
            tiles: `(N, H, W, 3)` uint8, RGB; any height and width.
            device: where to compute; ONNX Runtime's network is for the CPU.

        Returns:
            logits by name, `(N, C, H, W)` float32: `nuclei` (C = 1), and what else the network tells.

        Raises:
            InputError: ONNX Runtime's network, and another device than the CPU.
        """
        if not isinstance(self.network, OnnxNetwork):
            return importlib.import_module("helpers.inference.batches").predict_outputs(self.network, tiles, device)
        if str(device) != "cpu":
            raise InputError(f"device {device}: an {ONNX_SUFFIX} file runs on the CPU; give the .safetensors file")
        return self.network.run(tiles)


def load_model(path: Path | str = WEIGHTS) -> TrainedModel:
    """Load shipped weights, checked: that they are whole, of this network, and of a known scale.

    Args:
        path: a `.safetensors` file that `export_weights` wrote, or a folder that holds one, for a network of PyTorch's;
            or an `.onnx` file that `export_onnx` wrote, for one that is faster on a CPU and needs no PyTorch, but can
            neither be trained nor examined; or `"int8"`, for the shipped network in integers of 8 bits, which is faster
            still on a CPU, but tells slightly other numbers, and others on another kind of processor. The project's
            own safetensors by default.

    Returns:
        the network, ready for use, with its scale, threshold, temperature and map.

    Raises:
        InputError: there is no such file, it is another kind of file, damaged, or the weights of another network.
    """
    path = as_path(NAMED.get(str(path), path))
    path = find_weights(path) or path
    if not path.is_file():
        raise InputError(
            f"{path}: there are no such weights; give the path of a .safetensors file, or none for the shipped model"
        )
    if path.suffix == ONNX_SUFFIX:
        network = open_onnx(path)
        architecture, about = _read_description(path, network.text)
        try:
            network.describe(architecture)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from None
    else:
        reader = importlib.import_module("helpers.inference.torch_weights")
        text, tensors = reader.read_weights(path)
        architecture, about = _read_description(path, text)
        network = reader.build_network(path, architecture, tensors, about["digest"])
    return TrainedModel(network, **about)


def _read_description(path: Path, text: str) -> tuple[dict, dict[str, object]]:
    """Give of a file's description what the network is built by, and the fields of `TrainedModel`, checked."""
    try:
        about = json.loads(text)
        found = about.get("format")
    except (AttributeError, ValueError) as error:
        raise _damaged(path, error) from None
    if found != FORMAT:
        raise InputError(f"{path}: expected weights that this package exported (format {FORMAT}), found format {found}")
    try:
        numbers = {key: float(about[key]) for key in ("um_per_px", "threshold_logit", "temperature")}
        fields = {**numbers, "attention": str(about["attention"]), "seen": Seen.read(about), "digest": about["sha256"]}
        architecture = about["architecture"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None
    scale, threshold, temperature = numbers.values()
    if not (0.05 <= scale <= 4 and abs(threshold) < 20 and 0.05 <= temperature <= 20):
        raise InputError(
            f"{path}: expected a scale in um/px, a threshold as logit and a temperature, found {scale}, "
            f"{threshold} and {temperature}; fetch it again"
        )
    return architecture, fields


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: the description inside the file is damaged ({error!r}); fetch it again")


def find_weights(source: Path) -> Path | None:
    """Give the weights that a path names, or that stand alone of their kind in a folder; None where it has none."""
    found = [source] if source.suffix == WEIGHTS.suffix else sorted(source.glob(f"*{WEIGHTS.suffix}"))
    return found[0] if len(found) == 1 else None


@functools.cache
def shipped_model(device: str = "cpu", fastest: bool = False) -> TrainedModel:
    """Load the shipped model onto a device once, and give it from then on.

    Args:
        device: where it is to compute.
        fastest: it need only predict: take what is faster there, which may be ONNX Runtime's network. No gradient
            passes that, so who examines or trains leaves it False, for PyTorch's.
    """
    # Tiles of 256 pixels that one core of an AMD EPYC (AVX2; torch 2.14, onnxruntime 1.32) does in a second, at the
    # best batch: ONNX Runtime 17, PyTorch 10. It was not measured where PyTorch computes in bfloat16 (AMX).
    # A GPU is for PyTorch: the ONNX Runtime that this package asks for has none.
    if fastest and device == "cpu" and ONNX.is_file() and importlib.util.find_spec("onnxruntime"):
        return load_model(ONNX)
    model = load_model()
    on_device = importlib.import_module("helpers.devices").on_device
    return dataclasses.replace(model, network=on_device(model.network, device))


def choose_model(model: TrainedModel | None, device: str, fastest: bool = False) -> TrainedModel:
    """Give the model, or for None the shipped one, as `shipped_model` does; an InputError for anything else."""
    model = shipped_model(str(device), fastest) if model is None else model
    if not isinstance(model, TrainedModel):
        raise InputError(f"model: expected what `helpers.load_model(PATH)` gives, found {type(model).__name__}")
    return model


def check_gradients(model: TrainedModel) -> None:
    """Refuse a model that no gradient passes, with an InputError."""
    if isinstance(model.network, OnnxNetwork):
        raise InputError(
            f"model: expected one that gradients pass, found one of an {ONNX_SUFFIX} file; load the .safetensors file"
        )
