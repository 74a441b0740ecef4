"""What can be asked for on the command line, and what each command says of itself and its cost."""

import argparse
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from helpers.config import LABEL_RULES, OFFICIAL_SPLITS, RECIPES

DATASET_HELP = "folder in the report's layout or in PanNuke's own"
DOWNLOADS = ("monuseg", "consep", "nuinsseg")  # `convert.CONVERTERS`, which would bring OpenCV and scipy with it
Handler = Callable[[argparse.Namespace], None]


def build_parser(description: str, handlers: Mapping[str, Handler]) -> argparse.ArgumentParser:
    """Build the parser of all commands.

    Args:
        description: what the program says of itself.
        handlers: name of each command to what carries it out.
    """
    parser = argparse.ArgumentParser(prog="python -m helpers", description=description)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    sample = _add(
        commands,
        "sample",
        handlers,
        "write a fold of sample tiles in PanNuke's layout",
        "4.7 MB of disk and 0.1 s a tile",
    )
    sample.add_argument("out", type=Path, metavar="OUT", help="folder to write; it must not hold a data set yet")
    sample.add_argument("--tiles", type=int, default=120, help="number of tiles (default: %(default)s)")
    sample.add_argument("--seed", type=int, default=0, help="another seed, other tissue (default: %(default)s)")

    download = _add(
        commands, "download", handlers, "fetch PanNuke, verify it and lay it out; stopped, it goes on where it was",
        "12.5 GB of disk a fold, 2.6 GB with --compact, and a few GB more while it works",
    )  # fmt: skip
    download.add_argument(
        "out", type=Path, nargs="?", default=Path("Dataset"), metavar="OUT", help="where to (default: %(default)s)"
    )
    download.add_argument(
        "--fold",
        type=int,
        action="append",
        choices=(1, 2, 3),
        help="this fold alone, may be given again (default: all)",
    )
    download.add_argument(
        "--from", dest="source", type=Path, metavar="PATH", help="take a zip, or a folder of zips or folds, instead"
    )
    download.add_argument("--accept-licence", action="store_true", help="you have read CC BY-NC-SA 4.0 and accept it")
    download.add_argument(
        "--compact", action="store_true", help="keep the same numbers in fewer bytes, and remove the originals"
    )
    _add_preparation(download)

    convert = _add(
        commands, "convert", handlers, "write the public download of another set as a fold in PanNuke's layout",
        "1 MB of disk a tile; under a minute",
    )  # fmt: skip
    convert.add_argument(
        "source", type=Path, metavar="SOURCE", help="the unpacked download; Dataset/README.md shows which folder"
    )
    convert.add_argument("out", type=Path, metavar="OUT", help="folder to write; it must not hold a data set yet")
    convert.add_argument("--kind", choices=DOWNLOADS, required=True, help="which set it is")

    prepare = _add(
        commands, "prepare", handlers, "shrink a data set into a compact cache",
        "once, as long as reading the data takes; under 750 MB of memory",
    )  # fmt: skip
    prepare.add_argument("dataset", type=Path, metavar="DATASET", help=DATASET_HELP)
    _add_preparation(prepare)

    train = _add(
        commands, "train", handlers, "train by a recipe, or take up a run where it stopped",
        "the report's recipe on 1,264 tiles: 35 to 45 minutes on two cores; 1.5 GB of memory",
    )  # fmt: skip
    train.add_argument("dataset", type=Path, metavar="DATASET", help=f"{DATASET_HELP}; prepared if it is not yet")
    train.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    train.add_argument("--recipe", choices=sorted(RECIPES), default="report", help="(default: %(default)s)")
    train.add_argument("--image-size", type=int, help="pixels, 32 to 256 (default: the recipe's)")
    train.add_argument("--epochs", type=_from(1), help="1 or more (default: the recipe's)")
    train.add_argument("--seed", type=_from(0), help="of start, order and augmentation (default: the recipe's)")
    train.add_argument("--split-seed", type=_from(0), help="of the split, 0 or more (default: the recipe's)")
    train.add_argument("--init", type=Path, metavar="WEIGHTS", help="start from these weights: fine-tune them")
    train.add_argument(
        "--random-start",
        action="store_true",
        help="do not fetch the ImageNet weights of the encoder; `--init` goes before",
    )
    train.add_argument(
        "--network", metavar="NAME", help="a network of `comparisons.NETWORK_NAMES` (default: the recipe's)"
    )
    train.add_argument(
        "--boundary-weight", type=_positive, help="W: outline pixels weigh 1 + W (default: the recipe's)"
    )
    train.add_argument("--batch-size", type=_from(1), help="(default: the recipe's)")
    train.add_argument("--learning-rate", type=_positive, help="(default: the recipe's)")
    train.add_argument(
        "--workers", type=_from(0), default=0, help="processes that load and augment tiles (default: %(default)s)"
    )
    train.add_argument(
        "--full-precision", action="store_true", help="compute in float32 where fewer bits would be faster, too"
    )
    train.add_argument(
        "--no-early-stopping", action="store_true", help="run all epochs, and record where it would have ended"
    )
    train.add_argument(
        "--shuffled-masks", action="store_true", help="give each image the masks of another: a control for `explain`"
    )
    train.add_argument(
        "--split",
        type=int,
        choices=OFFICIAL_SPLITS,
        help="PanNuke's official split, where DATASET holds its three folds",
    )

    evaluate = _add(
        commands, "evaluate", handlers, "score a model on whole images at full size, beside classical methods",
        "1 to 10 tiles a second on two cores; adds to RUN/results.json, of weights to runs/NAME OF THE WEIGHTS",
    )  # fmt: skip
    evaluate.add_argument(
        "model", type=Path, nargs="?", metavar="MODEL",
        help="folder of a finished run, or weights (.safetensors); left out, the shipped weights",
    )  # fmt: skip
    evaluate.add_argument(
        "dataset", type=Path, metavar="DATASET", help="that of the model gives its validation part, any other the whole"
    )
    evaluate.add_argument(
        "--flips-and-turns",
        action="store_true",
        help="score it again, averaged over flips and turns: eight times as long",
    )

    explain = _add(
        commands, "explain", handlers, "measure what a finished run's maps, uncertainty and probabilities are worth",
        "on 100 tiles of 256 pixels one to two hours on two cores; adds to RUN/results.json",
    )  # fmt: skip
    explain.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    explain.add_argument(
        "dataset",
        type=Path,
        metavar="DATASET",
        help="that of the run; its validation part, of two source images at least, is used",
    )
    explain.add_argument(
        "--shuffled", type=Path, metavar="WEIGHTS", help="checkpoint of a run with `--shuffled-masks`, the control"
    )
    explain.add_argument(
        "--tiles", type=_from(1), default=100, help="tiles on which maps are measured (default: %(default)s)"
    )

    ablate = _add(
        commands, "ablate", handlers, "train the rows of the ablation, and say which differences are noise",
        "24 runs of 20 epochs at 128 pixels, on 1,264 tiles 20 to 45 minutes each on two cores, the row `stem1` about "
        "three times that; 3 GB of disk; stopped, it goes on where it was",
    )  # fmt: skip
    ablate.add_argument("dataset", type=Path, metavar="DATASET", help=f"{DATASET_HELP}; prepared if it is not yet")
    ablate.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder of all its runs")
    ablate.add_argument(
        "--row", action="append", metavar="NAME", help="this row alone, may be given several times (default: all)"
    )
    ablate.add_argument(
        "--workers", type=_from(0), default=0, help="processes that load and augment tiles (default: %(default)s)"
    )

    publish = _add(
        commands, "publish", handlers, "write models/ and figures/ from a finished run or scored weights",
        "seconds; to ship a run some minutes, and its data set must still be where it was",
    )  # fmt: skip
    publish.add_argument(
        "source", type=Path, nargs="?", metavar="RUN",
        help="folder of a finished and evaluated run, or of an ablation; left out, the shipped weights' scores",
    )  # fmt: skip
    publish.add_argument(
        "--ship", action="store_true", help="make it the shipped model too: weights, model card and figures are its"
    )
    publish.add_argument(
        "--project", type=Path, default=Path(), help="folder that holds models/ and figures/ (default: this one)"
    )
    return parser


def _add(
    commands: argparse._SubParsersAction, name: str, handlers: Mapping[str, Handler], what: str, cost: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}. Cost: {cost}.")
    parser.set_defaults(handler=handlers[name])
    return parser


def _add_preparation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image-size", type=int, default=128, help="pixels, 32 to 256 (default: %(default)s)")
    parser.add_argument(
        "--labels", choices=LABEL_RULES, default="nearest",
        help="how labels shrink: as the report does, or aligned with the images (default: %(default)s)",
    )  # fmt: skip


def _from(lowest: int) -> Callable[[str], int]:
    """Make a reader of whole numbers from `lowest` on, for `argparse`."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"expected a whole number, {lowest} or more, found {text!r}")
        return int(text)

    return read


def _positive(text: str) -> float:
    """Read a number above 0, for `argparse`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return value
