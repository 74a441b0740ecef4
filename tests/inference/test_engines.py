"""Who does the work: order, how much at once, and what is refused."""

import contextlib
import logging
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future

import pytest

from helpers.errors import InputError
from helpers.inference import engines
from helpers.inference.engines import work_through


def test_results_come_in_order_and_few_are_worked_on_ahead():
    begun, lock = [], threading.Lock()

    def work(item: int) -> int:
        with lock:
            begun.append(item)
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * item

    results = work_through(work, range(12), workers=2)
    assert next(results) == 0
    assert len(begun) <= 4  # two workers, one ahead
    assert list(results) == [item * item for item in range(1, 12)]


def test_an_error_comes_out_and_the_rest_is_left():
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise InputError("the second")
        return item

    results = work_through(work, range(100), workers=1)
    assert next(results) == 0
    with pytest.raises(InputError, match="the second"):
        list(results)
    assert len(begun) < 6


def test_nothing_to_do_starts_nothing(monkeypatch):
    monkeypatch.setattr(engines, "_cluster", None)
    assert list(work_through(str, [], "dask")) == []


@pytest.mark.parametrize("engine", ["spark", "", "node:8786"])
def test_another_engine_is_refused(engine):
    with pytest.raises(InputError, match="engine: expected threads, dask or the address of a scheduler"):
        list(work_through(str, [1], engine))


def test_dask_must_be_there(monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="Dask, which is not installed"):
        list(work_through(str, [1], "dask"))


def test_a_scheduler_must_answer(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(engines, "SECONDS", 1)
    with pytest.raises(InputError, match="tcp://127.0.0.1:9: expected a Dask scheduler there, none answers"):
        list(work_through(str, [1], "tcp://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (lambda distributed: distributed.KilledWorker("a block", None, 3), "several died over one part of the picture"),
        (lambda distributed: CancelledError("lost"), r"found it gone \(lost\); start it again"),
        (lambda distributed: distributed.comm.CommClosedError(), r"found it gone \(CommClosedError\)"),
    ],
)
def test_a_lost_cluster_is_said(monkeypatch, error, words):
    distributed = pytest.importorskip("distributed")

    class Client:
        def scheduler_info(self, n_workers):
            return {"workers": {"one": {}}}

        def scatter(self, work, broadcast):
            return work

        def submit(self, *_, pure):
            future = Future()
            future.set_exception(error(distributed))
            return future

    monkeypatch.setattr(engines, "_cluster", lambda *_: contextlib.nullcontext(Client()))
    with pytest.raises(InputError, match=rf"^engine tcp://node: .*{words}"):
        list(work_through(str, [1], "tcp://node"))


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(workers):
    with pytest.raises(InputError, match=f"workers: expected 1 or more, found {workers}"):
        list(work_through(str, [1], workers=workers))


def test_workers_that_are_started_leave_an_interruption_to_this_process():
    command = [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it already
    try:
        with engines._interrupts_ignored():
            inside = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        outside = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (inside, outside) == ("True", "False")


def test_dask_logs_nothing_meanwhile_and_again_afterwards():
    pytest.importorskip("distributed")
    logger = logging.getLogger("distributed")
    before = logger.level
    with engines._quiet():
        assert logger.level == logging.CRITICAL
    assert logger.level == before
