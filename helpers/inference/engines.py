"""Who does the work: threads of this process, or the workers of a Dask cluster. The results are the same."""

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


class EngineError(InputError):
    """The work cannot be done, though nothing is wrong with what it is done to: what is finished is to be kept."""


class Engine:
    """Does work, piece by piece: threads, or a Dask cluster that is reached once, when it is first needed, and shared.

    Args:
        name: "threads" of this process, "dask" for worker processes on this machine, or the address of a Dask
            scheduler, such as "tcp://node1:8786". A worker that is lost on the way costs time: others do its work.
        workers: how many; None for `WORKERS`, or one on a machine of one core. A scheduler gives all that it has.

    Attributes:
        here: whether the work is done in this process.
        lost: whether it can do no more work.

    Raises:
        InputError: there is no such engine, Dask is not installed, or no worker is wanted.
    """

    def __init__(self, name: str = "threads", workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"workers: expected 1 or more, found {workers}; leave it out for the usual number")
        if name not in ("threads", "dask") and "://" not in name:
            raise InputError(
                f"engine: expected threads, dask or the address of a scheduler (tcp://...), found {name!r}"
            )
        self.name, self.workers = name, workers or min(WORKERS, os.cpu_count() or 1)
        self.here, self.lost = name == "threads", False
        if not self.here and not importlib.util.find_spec("distributed"):
            raise InputError("engine: expected Dask, which is not installed: pip install 'nuclei-helpers[dask]'")
        self._client, self._opened = None, contextlib.ExitStack()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def work_through(self, work: Callable, items: Iterable) -> Iterator:
        """Give `work(item)` for each item, in their order; a few are worked on at once.

        Args:
            work: what is done; several threads call it, and with Dask it is sent to other processes.
            items: what it is done to.

        Raises:
            EngineError: no scheduler answers or it is lost, or workers die.
        """
        items = list(items)
        if not items:
            return
        if self.here:
            with ThreadPoolExecutor(self.workers) as pool:
                yield from _in_order(lambda item: pool.submit(work, item), items, self.workers + 1)
            return
        with self._losses_told():
            client = self._client = self._client or self._connect()
            at_once = 2 * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
            # By a name of its own: one that was just let go of, of the same content, would be taken along.
            there = client.scatter(work, broadcast=True, hash=False)
            yield from _in_order(lambda item: client.submit(_call, there, item, pure=False), items, at_once)

    def _connect(self) -> object:
        """Give a client of the scheduler at an address, or of a cluster of its own that ends with this engine."""
        distributed = importlib.import_module("distributed")
        self._opened.enter_context(_quiet())
        if self.name == "dask":
            with _interrupts_ignored():
                cluster = distributed.LocalCluster(self.workers, threads_per_worker=1, dashboard_address=None)
            return self._opened.enter_context(distributed.Client(self._opened.enter_context(cluster)))
        try:
            return self._opened.enter_context(distributed.Client(self.name, timeout=SECONDS))
        except (OSError, ValueError) as error:
            self.lost = True
            raise EngineError(
                f"engine {self.name}: expected a Dask scheduler there, none answers ({in_a_line(error)}); start one "
                "with `dask scheduler`, and `dask worker ADDRESS` where this package is installed too"
            ) from None

    @contextlib.contextmanager
    def _losses_told(self) -> Iterator[None]:
        """Turn the loss of all workers, or of their scheduler, into an EngineError."""
        distributed = importlib.import_module("distributed")
        try:
            yield
        except (distributed.KilledWorker, CancelledError, distributed.comm.CommClosedError) as error:
            self.lost = self._client.status != "running"
            found = "a scheduler to the end, found it gone" if self.lost else "workers that live, found that they died"
            remedy = "start it again" if self.lost else "give each more memory"
            raise EngineError(
                f"engine {self.name}: expected {found} ({in_a_line(error)[:160]}); {remedy}, and run it again: what is "
                "finished is kept"
            ) from None


def _call(work: Callable, item: object) -> object:
    return work(item)


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
    importlib.import_module("distributed")  # which sets levels of its own, of these two
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
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
