"""Who does the work: threads of this machine, or the workers of a Dask cluster. The results are the same."""

import contextlib
import importlib
import importlib.util
import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

from helpers.errors import InputError, in_a_line

WORKERS = 2  # blocks at once: while the network has one, another is read or parted; each takes 300 MB
SECONDS = 30  # to wait for a scheduler


def work_through(work: Callable, items: Iterable, engine: str = "threads", workers: int | None = None) -> Iterator:
    """Give `work(item)` for each item, in their order; a few are worked on at once.

    Args:
        work: what is done; several threads call it, and with Dask it is sent to other processes.
        items: what it is done to.
        engine: "threads" of this process, "dask" for worker processes on this machine, or the address of a Dask
            scheduler, such as "tcp://node1:8786". A worker that is lost on the way costs time: others do its work.
        workers: how many; None for `WORKERS`, or one on a machine of one core, or all that the scheduler has.

    Raises:
        InputError: there is no such engine, Dask is not installed, no scheduler answers or it is lost, or workers die.
    """
    check_engine(engine, workers)
    items = list(items)
    if not items:
        return
    workers = workers or min(WORKERS, os.cpu_count() or 1)
    if engine == "threads":
        with ThreadPoolExecutor(workers) as pool:
            yield from _in_order(lambda item: pool.submit(work, item), items, workers + 1)
        return
    with _quiet(), _cluster(engine, workers) as client, _losses_told(engine):
        at_once = 2 * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        there = client.scatter(work, broadcast=True)
        yield from _in_order(lambda item: client.submit(_call, there, item, pure=False), items, at_once)


def check_engine(engine: str, workers: int | None = None) -> None:
    """Refuse what is no engine, or no number of workers, with an InputError."""
    if workers is not None and workers < 1:
        raise InputError(f"workers: expected 1 or more, found {workers}; leave it out for the usual number")
    if engine not in ("threads", "dask") and "://" not in engine:
        raise InputError(f"engine: expected threads, dask or the address of a scheduler (tcp://...), found {engine!r}")
    if engine != "threads" and not importlib.util.find_spec("distributed"):
        raise InputError("engine: expected Dask, which is not installed: pip install 'nuclei-helpers[dask]'")


def _call(work: Callable, item: object) -> object:
    return work(item)


@contextlib.contextmanager
def _cluster(engine: str, workers: int) -> Iterator:
    """Give a client of the scheduler at an address, or of a cluster of its own that ends with the work."""
    distributed = importlib.import_module("distributed")
    if engine == "dask":
        with _interrupts_ignored():
            made = distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        with made as cluster, distributed.Client(cluster) as client:
            yield client
        return
    try:
        client = distributed.Client(engine, timeout=SECONDS)
    except (OSError, ValueError) as error:
        raise InputError(
            f"engine {engine}: expected a Dask scheduler there, none answers ({in_a_line(error)}); start one with "
            "`dask scheduler`, and `dask worker ADDRESS` where this package is installed too"
        ) from None
    with client:
        yield client


@contextlib.contextmanager
def _losses_told(engine: str) -> Iterator[None]:
    """Turn the loss of all workers, or of their scheduler, into an InputError."""
    distributed = importlib.import_module("distributed")
    try:
        yield
    except distributed.KilledWorker:
        raise InputError(
            f"engine {engine}: expected workers that live, found that several died over one part of the picture; "
            "give each more memory, and run it again: what is finished is kept"
        ) from None
    except (CancelledError, distributed.comm.CommClosedError) as error:
        raise InputError(
            f"engine {engine}: expected a scheduler to the end, found it gone ({in_a_line(error)[:160]}); start it "
            "again, and run it again: what is finished is kept"
        ) from None


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Have the processes that are started meanwhile ignore Ctrl-C: this one hears it, and ends them."""
    if threading.current_thread() is not threading.main_thread():  # where Python sets no handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from logging what is mended without anybody, or told in a sentence."""
    importlib.import_module("distributed")  # which sets levels of its own
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _in_order(submit: Callable[[object], Future], items: Iterable, at_once: int) -> Iterator:
    """Submit items, no more than some ahead of the one whose result is given next."""
    waiting = deque()
    try:
        for item in items:
            waiting.append(submit(item))
            if len(waiting) >= at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
