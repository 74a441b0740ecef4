"""Networks on disk: written whole or not at all, read without running code from the file."""

from pathlib import Path

import torch

from helpers.errors import InputError
from helpers.files import written_whole
from helpers.model import EfficientNetSegmentation

FORMAT = 1


def save_checkpoint(path: Path, model: EfficientNetSegmentation, **more: object) -> None:
    """Save a network with what is needed to build it again.

    Args:
        path: the file to write.
        model: the network.
        more: further tensors, numbers, strings, lists and dictionaries of such.
    """
    architecture = {"img_size": model.img_size, "in_channels": model.in_channels, "num_classes": model.num_classes}
    architecture["dropout"] = model.dropout.p
    with written_whole(path) as temporary:
        torch.save({"format": FORMAT, "architecture": architecture, "model": model.state_dict()} | more, temporary)


def load_checkpoint(path: Path) -> tuple[EfficientNetSegmentation, dict]:
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
        model = EfficientNetSegmentation(**checkpoint.pop("architecture"))
        model.load_state_dict(checkpoint.pop("model"))
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{path}: the weights are those of another network: {reason}") from None
    return model.eval(), checkpoint
