"""The notebook's steps as commands: `python -m helpers COMMAND --help` says what each does and costs."""

import argparse
import dataclasses
import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from tqdm import tqdm

from helpers.arguments import PAIRS, read_arguments
from helpers.config import RECIPES
from helpers.errors import InputError, InputWarning


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: as on the command line, without the program's name; None for the command line's own.

    Returns:
        the exit status: 0, 1 where some of many pictures failed, or 2; one line on standard error says what was wrong.
    """
    options = read_arguments(__doc__, HANDLERS, arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", InputWarning)
            warnings.showwarning = _warn
            return options.handler(options) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name.startswith("helpers"):
            raise
        print(f"error: this command needs {error.name}: pip install 'nuclei-helpers[train]'", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "interrupted; `download`, `predict`, `train` and `ablate` resume their work, other commands start afresh",
            file=sys.stderr,
        )
        return 130


def _warn(message: Warning, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    """Show what is suspicious about the input in one line, of several processes by the first alone."""
    if category is not InputWarning:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))
    elif os.environ.get("RANK", "0") == "0":
        tqdm.write(f"warning: {message}", file=sys.stderr)  # above a bar, where there is one


def _load(module: str):
    """Import a module when its command runs, so that preparing data does not hold PyTorch in memory."""
    return importlib.import_module(f"helpers.{module}")


def _predict(options: argparse.Namespace) -> int:
    rows = _load("inference.predict_files").predict_files(
        options.image, options.out, options.um_per_px,
        None if options.model is None else _load("inference.trained_model").load_model(options.model),
        options.save or _load("inference.outputs").USUAL, options.engine, options.workers, options.again,
        options.device, options.flips_and_turns, progress=sys.stderr.isatty(),
    )  # fmt: skip
    for row in rows:
        if row["status"] != "failed":
            found = f"{row['all nuclei']:,} nuclei, {row['tissue_mm2']:.3g} mm2 of tissue"
            print(f"{row['picture']}: {found} ({row['status']})")
    failed = sum(row["status"] == "failed" for row in rows)
    made = f"{len(rows) - failed} of {len(rows)} done" if failed else f"{len(rows)} done"
    print(f"{made}; the results are in {options.out}, and {options.out / 'summary.csv'} sums them up")
    return int(failed > 0)


def _export(options: argparse.Namespace) -> None:
    if options.int8 is None:
        _load("inference.export").export_onnx(options.weights, options.onnx)
    else:
        tiles = _load("evaluation.subject").read_training_tiles(options.weights, options.int8)
        _load("inference.integers").export_integers(options.weights, options.onnx, tiles)
    print(options.onnx)


def _sample(options: argparse.Namespace) -> None:
    sample = _load("sample_tissue.sample")
    if options.out.suffix == ".tif":
        print(sample.write_sample_picture(options.out, options.seed))
    else:
        print(sample.write_sample_fold(options.out, options.tiles, options.seed))


def _download(options: argparse.Namespace) -> None:
    _load("datasets.pannuke").download_pannuke(
        options.out,
        options.fold or (1, 2, 3),
        options.source,
        options.accept_licence,
        options.compact,
    )
    _prepare(argparse.Namespace(**vars(options), dataset=options.out))


def _convert(options: argparse.Namespace) -> None:
    given = {name: getattr(options, name) for name in ("kinds", "kind_names", "group_pattern", "tissue")}
    given = {name: value for name, value in given.items() if value is not None}
    own = options.kind == PAIRS
    if len(options.source) != 1 + own:
        expected = "IMAGES MASKS OUT" if own else "SOURCE OUT"
        found = len(options.source) + 1
        raise InputError(f"convert --kind {options.kind}: expected {expected}, found {found} folders; see `--help`")
    if own and options.um_per_px is None:
        raise InputError("convert --kind pairs: expected --um-per-px, found none; look it up in the slide's properties")
    if not own and (given or options.um_per_px is not None):
        raise InputError(f"convert --kind {options.kind}: expected no option of `pairs`, found one; leave it out")
    if own:
        print(_load("datasets.pairs").convert_pairs(*options.source, options.out, options.um_per_px, **given))
    else:
        print(_load("datasets.convert").convert(*options.source, options.out, options.kind))


def _prepare(options: argparse.Namespace) -> None:
    cache = _load("data.prepare").prepare(options.dataset, options.image_size, options.labels)
    print(f"{cache.name}: {len(cache)} tiles at {cache.image_size} pixels, digest {cache.digest}")


def _train(options: argparse.Namespace) -> None:
    given = {"image_size": options.image_size, "epochs": options.epochs, "seed": options.seed}
    given |= {"split_seed": options.split_seed, "network": options.network, "boundary_weight": options.boundary_weight}
    given |= {"batch_size": options.batch_size, "learning_rate": options.learning_rate}
    given["stop_early"] = False if options.no_early_stopping else None
    given["pretrained"] = False if options.random_start else None
    recipe = RECIPES[options.recipe]
    if options.shuffled_masks:
        recipe = _load("training.control").control_recipe(recipe, options.shuffled_masks)
    recipe = dataclasses.replace(recipe, **{key: value for key, value in given.items() if value is not None})
    results = _load("training.run").train_run(
        options.dataset, options.out, recipe, options.split, init=options.init, workers=options.workers, progress=True,
        use_amp=not options.full_precision, drop_copies=options.drop_copies,
    )  # fmt: skip
    training = results["training"]
    if _load("training.distributed").speaks():
        print(f"split: {results['data']['note']}")
        print(f"best epoch {training['best_epoch']}: validation Dice {_show(training['best']['val_dice'])}")


def _evaluate(options: argparse.Namespace) -> None:
    entries = []
    for model in options.model or [None]:
        if len(options.model) > 1:
            print(f"{model}:")
        entry = _load("evaluation.evaluation").evaluate(
            model, options.dataset, flips_and_turns=options.flips_and_turns, outlines=options.outlines,
            progress=True, part=options.part,
        )  # fmt: skip
        entries.append(entry)
        _show_scores(entry)
    if len(entries) > 1:
        print(_load("report.run_tables").describe_means(entries))


def _show_scores(entry: dict) -> None:
    for name, predictor in entry["predictors"].items():
        print(f"{name:18s} Dice {_show(predictor['scores']['dice'])}")
    for rule, predictor in entry["fill_rules"].items():
        print(f"model, {rule}: Dice {_show(predictor['scores']['dice'])}")
    print(f"{entry['name']} ({entry['part']}): {entry['tiles']} tiles, scored {entry['times_scored']} time(s)")
    if entry["nuclei"]:
        print(_load("report.run_tables").describe_nuclei(entry))


def _explain(options: argparse.Namespace) -> None:
    explanation = _load("explanation.explanation").explain_run(
        options.run, options.dataset, options.shuffled, options.tiles, control_alone=options.control_alone
    )
    print(f"preferred map: {explanation['preferred'] or 'none passes'}")


def _ablate(options: argparse.Namespace) -> None:
    ablation = _load("evaluation.ablation").run_ablation(
        options.dataset, options.out, options.row, workers=options.workers, drop_copies=options.drop_copies
    )
    print(_load("report.run_tables").ablation_table(ablation).to_string())


def _show(dice: float | None) -> str:
    return "undefined: no image has nuclei" if dice is None or dice != dice else f"{dice:.3f}"


def _publish(options: argparse.Namespace) -> None:
    publish = _load("report.publish")
    source = options.source
    if options.ship and not (source and (source / publish.BEST).exists()):
        raise InputError(f"--ship: expected the folder of a finished run, found {source or 'none'}; give it")
    if source is not None and (source / publish.ABLATION).exists():
        written = publish.publish_ablation(source, options.project)
    elif (
        source is None or not (source / publish.BEST).exists() and _load("inference.trained_model").find_weights(source)
    ):
        written = publish.publish_scores(source, options.project)
    else:
        written = publish.publish_run(source, options.project, options.ship)
    for path in written:
        print(path)


HANDLERS = {
    "predict": _predict,
    "sample": _sample,
    "download": _download,
    "convert": _convert,
    "prepare": _prepare,
    "train": _train,
    "evaluate": _evaluate,
    "explain": _explain,
    "ablate": _ablate,
    "publish": _publish,
    "export": _export,
}

if __name__ == "__main__":
    sys.exit(main())
