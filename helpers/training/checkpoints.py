"""Networks on disk: written whole or not at all, read without running code from the file."""

from pathlib import Path

import torch
from torch import nn

from helpers.errors import InputError
from helpers.files import written_whole
from helpers.networks import build_network

FORMAT = 1


def save_checkpoint(path: Path, model: nn.Module, **more: object) -> None:
    """Save a network with what is needed to build it again.

    Args:
        path: the file to write.
        model: the network, as from `networks.build_network`.
        more: further tensors, numbers, strings, lists and dictionaries of such.
    """
    architecture = {name: getattr(model, name) for name in ("name", "img_size", "in_channels", "num_classes")}
    architecture["dropout"] = model.dropout.p
    with written_whole(path) as temporary:
        torch.save({"format": FORMAT, "architecture": architecture, "model": model.state_dict()} | more, temporary)


def load_checkpoint(path: Path) -> tuple[nn.Module, dict]:
    """Load a network in evaluation mode, on the CPU.

    Returns:
        the network, and what was saved beside it.

    Raises:
        InputError: the file is missing, damaged, holds code, or is a checkpoint of something else.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such checkpoint; train a network first") from None
    except Exception as error:  # on a file of another kind torch's reader fails in a dozen ways, IndexError among them
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: expected a whole checkpoint of plain tensors, it cannot be read: {first_line}"
        ) from None
    if not isinstance(checkpoint, dict) or checkpoint.get("format") != FORMAT:
        raise InputError(f"{path}: expected a checkpoint that this package wrote (format {FORMAT}), found another file")
    try:
        # Checkpoints of before there were several networks do not name theirs.
        model = build_network(**{"name": "unet"} | checkpoint.pop("architecture"))
        model.load_state_dict(checkpoint.pop("model"))
    except (InputError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{path}: the weights are those of another network: {reason}") from None
    return model.eval(), checkpoint
