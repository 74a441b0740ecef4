"""From pictures and slides to files: for QuPath, a spreadsheet and the eye, with no more memory than a block takes."""

import contextlib
import functools
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from helpers import __version__
from helpers.errors import InputError, InputWarning
from helpers.files import locked, read_json, remove_unfinished, write_csv, write_json
from helpers.inference.blocks import Block, Found, Seams
from helpers.inference.engines import check_engine, work_through
from helpers.inference.outputs import ENDINGS, USUAL, open_outputs, paths_of
from helpers.inference.segmentation import Search
from helpers.inference.store import BlockStore
from helpers.inference.symmetries import SYMMETRIES
from helpers.inference.tiles import PLAIN
from helpers.inference.trained_model import TrainedModel, choose_model
from helpers.paths import as_path
from helpers.pictures.checks import warn_about_picture
from helpers.pictures.picture import Picture
from helpers.pictures.reading import list_pictures, open_picture
from helpers.pictures.scale import resolve_scale
from helpers.pictures.survey import survey

SUMMARY = "summary.csv"
DONE, KEPT, FAILED = "done", "kept", "failed"


@dataclass(frozen=True)
class Order:
    """What is wanted of every picture: the arguments of `predict_files`, checked."""

    out: Path
    um_per_px: float | str | None
    model: TrainedModel
    save: tuple[str, ...]
    engine: str
    workers: int | None
    again: bool
    device: str
    flips_and_turns: bool
    progress: bool

    def about(self, path: Path) -> dict[str, object]:
        """Tell what the results for a file depend on."""
        facts = path.stat()
        return {
            "picture": str(path),
            "bytes": facts.st_size,
            "changed": facts.st_mtime_ns,
            "um_per_px_given": None if self.um_per_px is None else str(self.um_per_px),
            "model": self.model.digest,
            "flips_and_turns": self.flips_and_turns,
            "version": __version__,
        }


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

    A picture that cannot be used does not stop the others. What is finished is not done again; a slide that was
    stopped goes on with the blocks that it has not done.

    Args:
        sources: a picture, a folder or a pattern, or several.
        out: folder of the results, made if it is missing. Of `NAME.svs` it gets `NAME.json`, which sums up, and what
            `save` names; `summary.csv` gets a row for each picture.
        um_per_px: scale of all of them, micrometres a pixel; None for what each file says.
        model: as from `load_model`; None for the shipped one.
        save: of `outputs.ENDINGS`.
        engine: as in `engines.work_through`.
        workers: as there.
        again: do again what is finished.
        device: where to compute.
        flips_and_turns: average over the eight symmetries of the square: slower by eight times, a little better.
        progress: show bars on standard error.

    Returns:
        for each picture what `summary.csv` has of it: `picture`, `status` ("done", "kept" from before, or "failed"),
        `message`, and where it did not fail the size, scale, area of tissue, and number of nuclei, of each kind and in
        all, and per mm2 of tissue.

    Raises:
        InputError: no picture there, something that cannot be saved, or no such engine.
    """
    if wrong := sorted(set(save) - set(ENDINGS)):
        raise InputError(f"save: expected of {', '.join(ENDINGS)}, found {', '.join(wrong)}")
    check_engine(engine)
    model, out = choose_model(model, device, fastest=True), as_path(out)
    named = _name_results(list_pictures(sources))
    order = Order(out, um_per_px, model, tuple(save), engine, workers, again, device, flips_and_turns, progress)
    rows = []
    with locked(out):
        for path, name in tqdm(named.items(), unit="picture", disable=not progress or len(named) == 1):
            try:
                rows.append(_predict_file(path, name, order))
            except (InputError, OSError) as error:
                text = str(error) if str(path) in str(error) else f"{path}: {error}"
                warnings.warn(text, InputWarning, stacklevel=2)
                rows.append({"picture": str(path), "status": FAILED, "message": text})
            write_csv(out / SUMMARY, _same_keys(rows))
    return rows


def _predict_file(path: Path, name: str, order: Order) -> dict:
    """Do one picture, or find that it is done; give its row."""
    about, summary = order.about(path), order.out / f"{name}.json"
    paths = paths_of(order.out, name, order.save)
    if not order.again and (done := _finished(summary, about, paths)):
        return {"picture": str(path), "status": KEPT, "message": ""} | done
    summary.unlink(missing_ok=True)  # from here on it is not finished
    remove_unfinished(order.out, [file.name for file in paths.values()])
    with open_picture(path) as picture:
        um_per_px = resolve_scale(picture, order.um_per_px)
        symmetries = SYMMETRIES if order.flips_and_turns else PLAIN
        search = Search(order.model, um_per_px, survey(picture, um_per_px), order.device, symmetries)
        warn_about_picture(picture, search.tissue, um_per_px)
        store = BlockStore(
            order.out / f".{name}.blocks", about | {"um_per_px": um_per_px}, search.blocks, "probability" in order.save
        )
        with open_outputs(paths, picture, search) as outputs:
            for found, before in _find_all(path, picture, search, store, order):
                outputs.add(found, before)
            row = outputs.finish(store)
    write_json(summary, {"about": about, "result": row})
    store.remove()
    return {"picture": str(path), "status": DONE, "message": ""} | row


def _find_all(
    path: Path, picture: Picture, search: Search, store: BlockStore, order: Order
) -> Iterator[tuple[Found, int]]:
    """Give what each block holds, in order, settled with its neighbours, and how many nuclei came before."""
    blocks = [block for block in search.blocks if search.tissue.reaches(*block.seen)]
    missing = [block for block in blocks if not store.has(block)]
    # Threads share the open file; another process opens its own.
    work = functools.partial(search.find, picture) if order.engine == "threads" else _Elsewhere(path, search)
    results = work_through(work, missing, order.engine, order.workers)
    seams = Seams(search.um_per_px)
    hidden = not order.progress or len(blocks) == 1
    for block in tqdm(blocks, unit="block", desc=path.name, disable=hidden, smoothing=0.1, leave=False):
        found = store.get(block) if store.has(block) else next(results)
        before = seams.count
        found = seams.settle(found)
        store.put(found, before)
        yield found, before


@dataclass(frozen=True)
class _Elsewhere:
    """A search that opens the picture itself, in another process."""

    path: Path
    search: Search

    def __call__(self, block: Block) -> Found:
        return self.search.find(_opened(self.path), block)


@functools.lru_cache(2)
def _opened(path: Path) -> Picture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # said where the picture was opened first
        return open_picture(path)


def _finished(summary: Path, about: dict, paths: dict[str, Path]) -> dict | None:
    """Give the result that an earlier run wrote down, if it is of the same and all is there that is wanted now."""
    with contextlib.suppress(InputError, KeyError, TypeError):
        written = read_json(summary)
        if written["about"] == about and all(path.is_file() for path in paths.values()):
            return written["result"]
    return None


def _name_results(paths: list[Path]) -> dict[Path, str]:
    """Name the results of each picture by its name without ending, or with it where two would be the same.

    >>> list(_name_results([Path("a/x.png"), Path("a/y.tif"), Path("b/y.svs")]).values())
    ['x', 'y.tif', 'y.svs']
    """
    names: dict[Path, str] = {}
    for rule in (lambda path: path.stem, lambda path: path.name, lambda path: f"{path.parent.name}-{path.name}"):
        proposed = {path: rule(path) for path in paths if path not in names}
        times = Counter(name.lower() for name in proposed.values())  # some systems do not tell cases apart
        taken = {name.lower() for name in names.values()}
        names |= {
            path: name for path, name in proposed.items() if times[name.lower()] == 1 and name.lower() not in taken
        }
    if missing := [path for path in paths if path not in names]:
        raise InputError(
            f"{missing[0]}: expected names that tell pictures apart, found the same elsewhere; predict them into "
            "folders of their own"
        )
    return {path: names[path] for path in paths}


def _same_keys(rows: list[dict]) -> list[dict]:
    keys = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key, "") for key in keys} for row in rows]
