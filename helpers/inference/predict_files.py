"""From pictures and slides to files: for QuPath, a spreadsheet and the eye, with no more memory than a block takes."""

import contextlib
import csv
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from helpers.errors import InputError, in_a_line, warn
from helpers.files import locked, unreadable, write_csv
from helpers.inference.engines import Engine
from helpers.inference.one_file import DONE, Order, predict_file
from helpers.inference.outputs import ENDINGS, USUAL
from helpers.inference.progress import Progress
from helpers.inference.trained_model import TrainedModel, choose_model
from helpers.paths import as_path
from helpers.pictures.reading import SUFFIXES, list_pictures
from helpers.preprocessing import check_scale

SUMMARY = "summary.csv"
FAILED = "failed"
FAULT = ".error.txt"  # how the name of a file ends that tells of a fault of this program


def predict_files(
    sources: Sequence[Path | str] | Path | str,
    out: Path | str,
    um_per_px: float | str | None = None,
    model: TrainedModel | None = None,
    save: Sequence[str] = USUAL,
    engine: str = "threads",
    workers: int | None = None,
    again: bool = False,
    device: str = "cpu",
    flips_and_turns: bool = False,
    progress: bool = False,
) -> list[dict]:
    """Find the nuclei of pictures and slides of any size, and write them into files.

    A picture that cannot be used does not stop the others, nor does a fault of this program, of which `NAME.error.txt`
    tells where it lies; a scheduler that is lost does. What is finished is not done again; a slide that was stopped
    goes on with the blocks that it has not done. Labels and overlays that an earlier run wrote beside the pictures are
    not taken for pictures.

    Args:
        sources: a picture, a folder or a pattern, or several.
        out: folder of the results, made if it is missing. Of `NAME.svs` it gets `NAME.json`, which sums up, and what
            `save` names; `summary.csv` has a row for each picture, those of earlier calls too.
        um_per_px: scale of all of them, micrometres a pixel; None for what each file says.
        model: as from `load_model`; None for the shipped one.
        save: of `outputs.ENDINGS`.
        engine: as in `engines.Engine`, one for all pictures.
        workers: as there.
        again: do again what is finished.
        device: where to compute.
        flips_and_turns: average over the eight symmetries of the square: slower by eight times, a little better.
        progress: show a bar on standard error.

    Returns:
        for each picture that was begun what `summary.csv` has of it: `picture`, `status` ("done", "kept" from before,
            or "failed"), `message`, and where it did not fail the size, scale, area of tissue, and number of nuclei, of
            each kind and in all, and per mm2 of tissue.

    Raises:
        InputError: no picture there, something that cannot be saved, no such engine or device, a scale out of range,
            or a folder that may not be written.
    """
    save = (save,) if isinstance(save, str) else tuple(save)
    if wrong := sorted(set(save) - set(ENDINGS)):
        raise InputError(f"save: expected of {', '.join(ENDINGS)}, found {', '.join(wrong)}")
    worker = Engine(engine, workers)
    um_per_px = None if um_per_px is None else check_scale(um_per_px)
    model, out = choose_model(model, device, fastest=True), as_path(out)
    named = _name_results(_without_results(list_pictures(sources), out))
    order = Order(out, um_per_px, model, save, worker, again, device, flips_and_turns)
    rows = []
    with worker, locked(out), contextlib.closing(Progress(named, progress)) as bar:
        earlier = {row["picture"]: row for row in _read_rows(out / SUMMARY)}
        for number, (path, name) in enumerate(named.items(), 1):
            bar.begin(number, path)
            row = _try_file(path, name, order, bar)
            if worker.lost and (left := len(named) - number):
                row["message"] += f" ({left} more pictures were not begun)"
            if row["status"] == FAILED:
                warn(row["message"])
            bar.end(worked=row["status"] == DONE)
            rows.append(row)
            earlier.pop(row["picture"], None)
            write_csv(out / SUMMARY, _same_keys([*earlier.values(), *rows]))
            if worker.lost:
                break
    return rows


def _try_file(path: Path, name: str, order: Order, bar: Progress) -> dict:
    """Do one picture; give its row, also where it failed."""
    report = order.out / f"{name}{FAULT}"
    report.unlink(missing_ok=True)
    try:
        return {"picture": str(path), "status": DONE, "message": ""} | predict_file(path, name, order, bar)
    except InputError as error:
        text = str(error) if str(path) in str(error) else f"{path}: {error}"
    except OSError as error:
        if error.filename == str(path):
            text = str(unreadable(path, error))
        else:
            text = (
                f"{path}: its results cannot be written into {order.out} ({error.strerror or in_a_line(error)}); make "
                "room there or choose another folder, and run it again"
            )
    except MemoryError:
        text = f"{path}: expected 300 MB of memory for each worker, found too little; run it again with one worker"
    except Exception as error:  # nobody foresaw it: the others are not to suffer, and it is not to be hidden
        with contextlib.suppress(OSError):
            report.write_text(traceback.format_exc(), encoding="utf-8")
        text = (
            f"{path}: failed by a fault of this program ({type(error).__name__}: {in_a_line(error)[:160]}); please "
            f"report it with {report}, which tells where"
        )
    return {"picture": str(path), "status": FAILED, "message": text}


def _without_results(paths: list[Path], out: Path) -> list[Path]:
    """Leave out labels and overlays of an earlier run: they lie in `out`, or beside the file that sums them up."""
    endings = tuple(ending for ending in ENDINGS.values() if Path(ending).suffix in SUFFIXES)

    def is_result(path: Path) -> bool:
        ending = next(filter(path.name.endswith, endings), None)
        return ending is not None and (
            path.parent.absolute() == out.absolute() or path.with_name(f"{path.name[: -len(ending)]}.json").exists()
        )

    pictures = [path for path in paths if not is_result(path)]
    if not pictures:
        found = f"results of an earlier run, such as {paths[0]}" if paths else "none"
        raise InputError(f"sources: expected pictures, found {found}; name the pictures themselves")
    return pictures


def _name_results(paths: list[Path]) -> dict[Path, str]:
    """Name the results of each picture by its name without ending, or with it where two would be the same.

    >>> list(_name_results([Path("a/x.png"), Path("a/y.tif"), Path("b/y.svs"), Path("summary.png")]).values())
    ['x', 'y.tif', 'y.svs', 'summary.png']
    """
    names: dict[Path, str] = {}
    for rule in (
        lambda path: path.stem,
        lambda path: path.name,
        lambda path: f"{path.absolute().parent.name}-{path.name}",
    ):
        proposed = {path: rule(path) for path in paths if path not in names}
        times = Counter(name.lower() for name in proposed.values())  # some systems do not tell cases apart
        taken = {name.lower() for name in names.values()} | {Path(SUMMARY).stem}
        names |= {
            path: name for path, name in proposed.items() if times[name.lower()] == 1 and name.lower() not in taken
        }
    if missing := [path for path in paths if path not in names]:
        raise InputError(
            f"{missing[0]}: expected names that tell pictures apart, found the same elsewhere; predict them into "
            "folders of their own"
        )
    return {path: names[path] for path in paths}


def _read_rows(path: Path) -> list[dict]:
    """Read the summary of earlier calls; nothing where there is none, or another table."""
    with contextlib.suppress(OSError, UnicodeDecodeError, csv.Error), open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
        if all({"picture", "status"} <= row.keys() and None not in row for row in rows):
            return rows
    return []


def _same_keys(rows: list[dict]) -> list[dict]:
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key, "") for key in keys} for row in rows]
