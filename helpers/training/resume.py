"""Where a run starts: afresh, from given weights, or where it was stopped."""

import dataclasses
from pathlib import Path

from torch import nn

from helpers.config import Recipe
from helpers.data.cache import Cache
from helpers.data.split import Split
from helpers.errors import InputError
from helpers.files import file_digest
from helpers.inference.trained_model import load_model
from helpers.model import set_batch_norm_momentum
from helpers.sources import Seen
from helpers.training.checkpoints import load_checkpoint
from helpers.training.comparisons import COMPARISONS, untrained_model
from helpers.training.control import let_fit
from helpers.training.encoder_weights import PRETRAINED_MOMENTUM, STARTS, load_imagenet_weights
from helpers.training.results import BEST, LAST, RESULTS


def resume_or_start(run: Path, recipe: Recipe, cache: Cache, split: Split, init: Path | None) -> dict:
    """Give the state of a run in a folder: what its last checkpoint holds, or that of a new one.

    A new one starts from the weights `init`, or where that is None as the recipe says.

    Returns:
        `model`; `history`, a row an epoch; `identity`, which tells one run from another; `encoder_start`;
        `earlier`, what the weights to start from have seen; `halved`, whether batches were halved for want of memory;
        of a run that is resumed, the states of all that moves as well.

    Raises:
        InputError: the folder holds another run, or the start that is asked for does not fit.
    """
    identity = {"recipe": dataclasses.asdict(recipe), "data": cache.digest, "split": split.method}
    identity["init"] = None if init is None else file_digest(init)
    kinds = cache.known_kinds if "kinds" in recipe.outputs else ()
    identity["kinds"] = kinds or None
    state = _take_up(run, identity) or _start(recipe, identity, init, cache)
    if recipe.shuffled_masks:
        let_fit(state["model"])
    seen, spoke = cache.find_seen(split.validation, state["earlier"])
    if seen.any():
        raise InputError(
            f"{cache.name}: the weights to start from were trained on {seen.sum()} of the {len(split.validation)} "
            f"validation tiles ({spoke}), which would flatter them; take another split seed, or other weights"
        )
    return state


def _start(recipe: Recipe, identity: dict, init: Path | None, cache: Cache) -> dict:
    state = {"history": [], "identity": identity, "earlier": Seen(), "halved": False}
    kinds, given = identity["kinds"] or (), None
    if init is not None:
        given, state["earlier"] = _load_weights(init)
        if given.name != recipe.network:
            raise InputError(f"{init}: expected weights of network {recipe.network!r}, found those of {given.name!r}")
        if "kinds" in recipe.outputs and len(kinds) < 2:
            kinds = getattr(given, "kinds", ())  # which these tiles leave as they are
    elif recipe.pretrained and recipe.network in COMPARISONS:
        raise InputError(f"network {recipe.network!r}: it can only start at random; set `pretrained` to False")
    if "kinds" in recipe.outputs and len(kinds) < 2:
        raise InputError(
            f"{cache.name}: expected nuclei of at least two kinds to tell apart, found {', '.join(kinds) or 'none'}; "
            "start from weights that tell kinds, or train on a data set that names them"
        )
    model = untrained_model(recipe, kinds)
    if given is None:
        encoder_start = load_imagenet_weights(model) if recipe.pretrained else "random"
        return state | {"model": model, "encoder_start": encoder_start}
    _take_over(model, given, init)
    return state | {"model": model, "encoder_start": f"{init.parent.name}/{init.name}"}


def _take_over(model: nn.Module, given: nn.Module, init: Path) -> None:
    """Start a network from another of its name; what that does not tell, or of other kinds, starts at random."""
    other_kinds = getattr(model, "kinds", ()) != getattr(given, "kinds", ())
    fitting = {
        name: value
        for name, value in given.state_dict().items()
        if name in model.state_dict() and not (other_kinds and name.startswith("heads.kinds."))
    }
    missing = model.load_state_dict(fitting, strict=False).missing_keys
    if anew := list(dict.fromkeys(name.split(".")[1] for name in missing)):
        print(f"{init}: its weights do not tell {' and '.join(anew)} as these tiles do: that starts at random")


def _load_weights(init: Path) -> tuple[nn.Module, Seen]:
    """Load weights to start from, shipped or of a checkpoint, and what they have seen."""
    if init.suffix == ".safetensors":
        shipped = load_model(init)
        return shipped.network, shipped.seen
    model, about = load_checkpoint(init)
    if "training_tiles" not in about:
        raise InputError(f"{init}: does not say which tiles it was trained on, so they might validate it")
    return model, Seen.read(about)


def _take_up(run: Path, identity: dict) -> dict | None:
    """Load the last checkpoint of a run, if there is one, and check that it is a run of the same thing."""
    if not (run / LAST).exists():
        if (run / RESULTS).exists() or ((run / BEST).exists() and not _is_first_epoch(run / BEST, identity)):
            raise InputError(f"{run}: holds results but no {LAST}, so it cannot be resumed; give a new folder")
        return None
    model, state = load_checkpoint(run / LAST)
    if "identity" not in state:
        raise InputError(f"{run / LAST}: expected the last state of a run, found weights alone; give a new folder")
    before, now = ({**what, **what["recipe"], "recipe": None} for what in (state["identity"], identity))
    if other := [f"{key} {before.get(key)!r}, now {now[key]!r}" for key in now if before.get(key) != now[key]]:
        raise InputError(f"{run}: holds a run with {'; '.join(other)}; give a new folder or the same arguments")
    if state["encoder_start"] in STARTS:
        set_batch_norm_momentum(model.encoder, PRETRAINED_MOMENTUM)  # which is not saved with the weights
    return state | {
        "model": model,
        "earlier": Seen.read(state.get("earlier") or {"training_tiles": state["earlier_tiles"]}),
    }


def _is_first_epoch(best: Path, identity: dict) -> bool:
    """Tell whether a run of the same thing was stopped in its first epoch, between its best and its last checkpoint."""
    _, about = load_checkpoint(best)
    return about.get("epoch") == 1 and about.get("identity") == identity
