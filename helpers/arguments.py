"""What can be asked for on the command line, and what each command says of itself and its cost."""

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from helpers.config import LABEL_RULES, OFFICIAL_SPLITS, RECIPES
from helpers.paths import as_path

DATASET_HELP = "folder in the report's layout or in PanNuke's own"
PAIRS = "pairs"  # pictures and masks of one's own
# `comparisons.NETWORK_NAMES` and `ablation.ROWS`, which would bring PyTorch with them.
NETWORKS = (
    *("unet", "unet-stem1", "unet-wide", "unet-narrow", "lite0", "lite0-detail"),
    *("smp-unet", "smp-fpn", "smp-deeplabv3plus"),
)
ROWS = (
    *("report", "majority-labels", "equal-weights", "larger-steps", "cosine", "turns", "warps", "stain-colour"),
    *("blur-noise", "strong", "stem1", "wide", "narrow", "boundary", "smp-unet", "smp-fpn", "smp-deeplabv3plus"),
    *("b0-imagenet", "lite0", "lite0-imagenet"),
)
SAVED = ("geojson", "csv", "labels", "overlay", "overview", "probability", "geojson.gz")  # `outputs.ENDINGS`
DOWNLOADS = ("monuseg", "consep", "nuinsseg")  # `convert.CONVERTERS`, which would bring OpenCV and scipy with it
Handler = Callable[[argparse.Namespace], None]
Argument = tuple[tuple[str, ...], dict[str, object]]  # what `add_argument` takes


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


def _place(name: str, text: str, **more: object) -> Argument:
    """Describe a file or folder, which stands at its place in the command and is shown in capitals."""
    return (name,), {"type": as_path, "metavar": name.upper(), "help": text} | more


def _option(name: str, text: str, **more: object) -> Argument:
    return (name,), {"help": text} | more


def _flag(name: str, text: str) -> Argument:
    return (name,), {"action": "store_true", "help": text}


# fmt: off
PREPARATION = (
    _option("--image-size", "pixels, 32 to 256 (default: %(default)s)", type=int, default=128),
    _option("--labels", "how labels shrink: as the report does, or aligned with the images (default: %(default)s)",
            choices=LABEL_RULES, default="nearest"),
)
DATASET = _place("dataset", f"{DATASET_HELP}; prepared if it is not yet")
RUN = _place("run", "folder of a finished run")
COPIES = _flag("--drop-copies", "of tiles with the same image leave out all but one")
WORKERS = _option("--workers", "processes that load and augment tiles (default: %(default)s)", type=_from(0), default=0)
# Name to what it does, what that costs, and what it takes.
COMMANDS: dict[str, tuple[str, str, tuple[Argument, ...]]] = {
    "predict": ("find the nuclei of your own pictures and slides, and write them for QuPath, a spreadsheet and the eye",
                "a second or two for 1,000 x 1,000 pixels on two cores; under 1.5 GB of memory, whatever the size",
                (
        _place("image", "a picture or slide, a folder of them, or a pattern", nargs="+"),
        _option("--out", "folder of the results; what is finished in it is not done again", type=as_path, required=True,
                metavar="FOLDER"),
        _option("--um-per-px", "scale of all pictures: about 0.25 at 40x, 0.5 at 20x (default: what the file says)",
                type=_positive),
        _option("--save", "one thing to save, may be given again (default: geojson, csv, labels, overlay)",
                action="append", choices=SAVED),
        _option("--model", "weights of your own (.safetensors or .onnx), or `int8`: the shipped ones in integers of 8 "
                "bits, faster and slightly other (default: the shipped ones)", type=as_path, metavar="WEIGHTS"),
        _option("--engine", "threads, dask, or the address of a Dask scheduler (default: %(default)s)",
                default="threads"),
        _option("--workers", "how much is done at once, 300 MB each (default: 2)", type=_from(1)),
        _option("--device", "such as cuda (default: %(default)s)", default="cpu"),
        _flag("--flips-and-turns", "average over flips and turns: eight times as long, a little better"),
        _flag("--again", "do again what is finished"),
    )),
    "sample": ("write a fold of sample tiles in PanNuke's layout", "4.7 MB of disk and 0.1 s a tile", (
        _place("out", "folder to write; it must not hold a data set yet. A name that ends in .tif gives one picture"),
        _option("--tiles", "number of tiles (default: %(default)s)", type=int, default=120),
        _option("--seed", "another seed, other tissue (default: %(default)s)", type=int, default=0),
    )),
    "download": ("fetch PanNuke, verify it and lay it out; stopped, it goes on where it was",
                 "12.5 GB of disk a fold, 2.6 GB with --compact, and a few GB more while it works", (
        _place("out", "where to (default: %(default)s)", nargs="?", default=Path("Dataset")),
        _option("--fold", "this fold alone, may be given again (default: all)",
                type=int, action="append", choices=(1, 2, 3)),
        _option("--from", "take a zip, or a folder of zips or folds, instead", dest="source", type=as_path,
                metavar="PATH"),
        _flag("--accept-licence", "you have read CC BY-NC-SA 4.0 and accept it"),
        _flag("--compact", "keep the same numbers in fewer bytes, and remove the originals"),
        *PREPARATION,
    )),
    "convert": ("write pictures and masks of your own, or the public download of another set, as a fold in PanNuke's "
                "layout", "1 MB of disk a tile; a minute for 500 tiles", (
        _place("source", "the unpacked download; of `pairs` two, IMAGES and MASKS; Dataset/README.md shows which",
               nargs="+"),
        _place("out", "folder to write; it must not hold a data set yet"),
        _option("--kind", "which set it is, or `pairs` for your own", choices=(*DOWNLOADS, PAIRS), required=True),
        _option("--um-per-px", "scale of your pictures, which `pairs` needs: about 0.25 at 40x, 0.5 at 20x",
                type=_positive),
        _option("--kinds", "of `pairs`: folder of pictures with the kind of each nucleus, 1 to 5; MASKS where its "
                "values are kinds", type=as_path, metavar="FOLDER"),
        _option("--kind-names", "of `pairs`: what the kinds from 1 on are, with commas (default: PanNuke's)",
                type=lambda text: text.split(","), metavar="NAMES"),
        _option("--group-pattern", "of `pairs`: what in a picture's name names its slide or patient (default: all)",
                metavar="REGEX"),
        _option("--tissue", "of `pairs`: of all pictures, or a CSV file with the columns image and tissue",
                metavar="NAME"),
    )),
    "prepare": ("shrink a data set into a compact cache",
                "once, as long as reading the data takes; under 750 MB of memory", (
        _place("dataset", DATASET_HELP),
        *PREPARATION,
    )),
    "train": ("train by a recipe, or resume a run where it stopped",
              "the report's recipe on 1,264 tiles: 35 to 45 minutes on two cores; 1.5 GB of memory", (
        DATASET,
        _option("--out", "folder of the run", type=as_path, required=True, metavar="RUN"),
        _option("--recipe", "(default: %(default)s)", choices=sorted(RECIPES), default="report"),
        _option("--image-size", "pixels, 32 to 256 (default: the recipe's)", type=int),
        _option("--epochs", "1 or more (default: the recipe's)", type=_from(1)),
        _option("--seed", "of start, order and augmentation (default: the recipe's)", type=_from(0)),
        _option("--split-seed", "of the split, 0 or more (default: the recipe's)", type=_from(0)),
        _option("--init", "start from these weights: fine-tune them", type=as_path, metavar="WEIGHTS"),
        _flag("--random-start", "do not fetch the ImageNet weights of the encoder; `--init` goes before"),
        _option("--network", "our own, or somebody else's to compare with (default: the recipe's)", choices=NETWORKS),
        _option("--boundary-weight", "W: outline pixels weigh 1 + W (default: the recipe's)", type=_positive),
        _option("--batch-size", "(default: the recipe's)", type=_from(1)),
        _option("--learning-rate", "(default: the recipe's)", type=_positive),
        WORKERS,
        COPIES,
        _flag("--full-precision", "compute in float32 where fewer bits would be faster, too"),
        _flag("--no-early-stopping", "run all epochs, and record where it would have ended"),
        _option("--shuffled-masks", "a control for `explain`: learn the middle of so many training tiles by heart, "
                "each with the mask of another", type=_from(1), metavar="TILES"),
        _option("--split", "PanNuke's official split, where DATASET holds its three folds", type=int,
                choices=OFFICIAL_SPLITS),
    )),
    "evaluate": ("score a model on whole images at full size, beside classical methods",
                 "1 to 10 tiles a second on two cores; adds to RUN/results.json, of weights to runs/NAME OF THE "
                 "WEIGHTS", (
        _place("model", "folder of a finished run, weights (.safetensors) or a folder that holds them; left out, the "
               "shipped ones; of several, such as of the three official splits, the means are shown too", nargs="*"),
        _place("dataset", "that of the model gives its validation part, any other the whole"),
        _option("--part", "of the model's own data set; `test` is the test fold of an official split "
                "(default: %(default)s)", choices=("validation", "test"), default="validation"),
        _flag("--flips-and-turns", "score it again, averaged over flips and turns: eight times as long"),
        _option("--outlines", "JSON of the nuclei's outlines, {image: [[[x, y], ...], ...]}: score by three rules of "
                "filling them", type=as_path, metavar="FILE"),
    )),
    "explain": ("measure what a finished run's maps, uncertainty and probabilities are worth",
                "on 100 tiles of 256 pixels one to two hours on two cores; adds to RUN/results.json", (
        RUN,
        _place("dataset", "that of the run; its validation part, of two source images at least, is used"),
        _option("--shuffled", "checkpoint of a run with `--shuffled-masks`, the control", type=as_path,
                metavar="WEIGHTS"),
        _flag("--control-alone", "keep what was explained before, and compare its maps with the control's"),
        _option("--tiles", "tiles on which maps are measured (default: %(default)s)", type=_from(1), default=100),
    )),
    "ablate": ("train the rows of the ablation, and say which differences are noise",
               "30 runs of 20 epochs at 128 pixels, on 1,264 tiles 20 to 45 minutes each on two cores, the row `stem1` "
               "about three times that; 3 GB of disk; stopped, it goes on where it was", (
        DATASET,
        _option("--out", "folder of all its runs", type=as_path, required=True, metavar="FOLDER"),
        _option("--row", "this row alone, may be given several times (default: all)", action="append", choices=ROWS),
        WORKERS,
        COPIES,
    )),
    "publish": ("write models/ and figures/ from a finished run or scored weights",
                "seconds; with figures (`--ship`, scores of weights) minutes, and the data set must be where it was", (
        _place("source", "folder of a finished and evaluated run, or of an ablation; models/ or left out, the shipped "
               "weights' scores", nargs="?", metavar="RUN"),
        _flag("--ship", "make it the shipped model too: weights, model card and figures are its"),
        _option("--project", "folder that holds models/ and figures/ (default: this one)", type=as_path,
                default=Path()),
    )),
    "export": ("write weights as one ONNX file, which needs no PyTorch to be used",
               "half a minute, with --int8 a whole one", (
        _place("weights", "such as --init takes; left out, the shipped ones", nargs="?"),
        _option("--onnx", "the file to write", type=as_path, required=True, metavar="FILE"),
        _option("--int8", "in integers of 8 bits, by tiles of the data set it was trained on, prepared if it is not "
                "yet", type=as_path, metavar="DATASET"),
    )),
}
# fmt: on


def read_arguments(
    description: str, handlers: Mapping[str, Handler], arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """Read what is asked for; options may stand anywhere among the files and folders of a command.

    Args:
        description: what the program says of itself.
        handlers: name of each command to what carries it out.
        arguments: as on the command line, without the program's name; None for the command line's own.

    Returns:
        the command's options, and its `handler`. What does not fit ends the program with status 2.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m helpers", description=description)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (what, cost, described) in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}. Cost: {cost}.")
        command.set_defaults(handler=handlers[name])
        for names, options in described:
            command.add_argument(*names, **options)
    if arguments and arguments[0] in commands.choices:  # `parse_args` would take `evaluate MODEL --flag DATASET` apart
        return commands.choices[arguments[0]].parse_intermixed_args(arguments[1:])
    return parser.parse_args(arguments)
