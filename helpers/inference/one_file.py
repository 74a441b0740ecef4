"""From one picture to its files, block by block; what was done before is not done again."""

import contextlib
import functools
import os
import shutil
import socket
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helpers import __version__
from helpers.errors import InputError, InputWarning
from helpers.files import read_json, write_json
from helpers.inference.blocks import Block, Found, Seams
from helpers.inference.engines import Engine, EngineError
from helpers.inference.outputs import ENDINGS, open_outputs, paths_of
from helpers.inference.progress import Progress
from helpers.inference.segmentation import Search
from helpers.inference.store import BlockStore
from helpers.inference.symmetries import SYMMETRIES
from helpers.inference.tiles import PLAIN
from helpers.inference.trained_model import TrainedModel
from helpers.pictures.checks import warn_about_picture
from helpers.pictures.picture import Picture
from helpers.pictures.reading import open_picture
from helpers.pictures.scale import resolve_scale
from helpers.pictures.survey import survey

DONE, KEPT = "done", "kept"


@dataclass(frozen=True)
class Order:
    """What is wanted of every picture: the arguments of `predict_files`, checked."""

    out: Path
    um_per_px: float | str | None
    model: TrainedModel
    save: tuple[str, ...]
    engine: Engine
    again: bool
    device: str
    flips_and_turns: bool

    def about(self, path: Path) -> dict[str, object]:
        """Tell what the results for a file depend on."""
        facts = path.stat()
        return {
            "picture": os.path.abspath(path),
            "bytes": facts.st_size,
            "changed": facts.st_mtime_ns,
            "um_per_px_given": None if self.um_per_px is None else str(self.um_per_px),
            "model": [self.model.digest, self.model.um_per_px, self.model.threshold_logit, self.model.temperature],
            "flips_and_turns": self.flips_and_turns,
            "version": __version__,
        }


def predict_file(path: Path, name: str, order: Order, bar: Progress) -> dict:
    """Do one picture, or find that it is done.

    Args:
        path: its file.
        name: of its results.
        order: what is wanted of it.
        bar: told of each block.

    Returns:
        its `status`, and its size, scale, area of tissue and numbers of nuclei.

    Raises:
        InputError: it cannot be used, or the results of another picture stand where its own would.
        OSError: a disk is full, or a file may not be written.
    """
    about, summary, blocks = order.about(path), order.out / f"{name}.json", order.out / f".{name}.blocks"
    paths, written = paths_of(order.out, name, order.save), _read_summary(summary)
    if not order.again:
        if written["about"].get("picture", about["picture"]) != about["picture"]:
            raise InputError(
                f"{path}: expected no results of another picture in {order.out}, found those of "
                f"{written['about']['picture']} by the same name; choose another folder, or replace them (--again)"
            )
        if (
            not written["about"]
            and not blocks.exists()
            and (there := [file for file in (summary, *paths.values()) if file.exists()])
        ):
            raise InputError(
                f"{path}: expected no file by the name of its results, found {there[0]}, which an earlier run did not "
                "write; choose another folder, or replace it (--again)"
            )
        if written["about"] == about and order.model.digest and all(file.is_file() for file in paths.values()):
            shutil.rmtree(blocks, ignore_errors=True)  # of a second time that was stopped
            return {"status": KEPT} | written["result"]
    with open_picture(path) as picture:
        um_per_px = resolve_scale(picture, order.um_per_px)
        symmetries = SYMMETRIES if order.flips_and_turns else PLAIN
        search = Search(order.model, um_per_px, survey(picture, um_per_px), order.device, symmetries)
        warn_about_picture(picture, search.tissue, um_per_px)
        store = BlockStore(blocks, about | {"um_per_px": um_per_px}, search.blocks, "probability" in order.save)
        try:
            made = paths_of(store.folder, name, order.save)  # until all are whole, what was there before stays
            with open_outputs(made, picture, search) as outputs:
                for found, before in _find_all(path, picture, search, store, order, bar):
                    outputs.add(found, before)
                row = outputs.finish(store)
        except InputError as error:
            if not isinstance(error, EngineError):  # a damaged file, which will be another when it is whole
                store.remove()
            raise
    summary.unlink(missing_ok=True)  # until all are in their place it is not finished
    if written["about"] != about:  # what else was saved then tells of another picture, model or scale
        for file in paths_of(order.out, name, ENDINGS).values():
            file.unlink(missing_ok=True)
    for kind, file in made.items():
        file.replace(paths[kind])
    write_json(summary, {"about": about, "result": row})
    store.remove()
    return {"status": DONE} | row


def _find_all(
    path: Path, picture: Picture, search: Search, store: BlockStore, order: Order, bar: Progress
) -> Iterator[tuple[Found, int]]:
    """Give what each block holds, in order, settled with its neighbours, and how many nuclei came before."""
    blocks = [block for block in search.blocks if search.tissue.reaches(*block.seen)]
    missing = [block for block in blocks if not store.has(block)]
    bar.expect(len(blocks), len(missing))
    # Threads share the open file; another process opens its own.
    work = functools.partial(search.find, picture)
    if not order.engine.here:
        work = _Elsewhere(Path(os.path.abspath(path)), path.stat().st_mtime_ns, search)
    seams = Seams(search.um_per_px)
    # Closed before the picture is, whatever happens: no worker reads on.
    with contextlib.closing(order.engine.work_through(work, missing)) as results:
        for block in blocks:
            kept = store.has(block)
            found = store.get(block) if kept else next(results)
            before = seams.count
            found = seams.settle(found)
            store.put(found, before)
            if not kept:
                bar.step()
            yield found, before


@dataclass(frozen=True)
class _Elsewhere:
    """A search that opens the picture itself, in another process, on another machine perhaps."""

    path: Path
    changed: int
    search: Search

    def __call__(self, block: Block) -> Found:
        try:
            picture = _opened(self.path, self.changed)
        except InputError as error:
            raise EngineError(
                f"{error} (so found by the Dask worker on {socket.gethostname()}; expected the same files by the same "
                "paths on all machines)"
            ) from None
        return self.search.find(picture, block)


@functools.lru_cache(2)
def _opened(path: Path, changed: int) -> Picture:
    """Keep a picture open for the blocks to come, unless its file has changed since."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # said where the picture was opened first
        return open_picture(path)


def _read_summary(path: Path) -> dict[str, dict]:
    """Read what an earlier run wrote down of a picture; nothing where there is none, or something else."""
    with contextlib.suppress(InputError):
        written = read_json(path)
        if isinstance(written, dict) and all(isinstance(written.get(key), dict) for key in ("about", "result")):
            return written
    return {"about": {}, "result": {}}
