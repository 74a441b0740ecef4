"""Who does the work: order, how much at once, and what is refused."""

import logging
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from types import SimpleNamespace

import pytest

from helpers.errors import InputError
from helpers.inference import engines
from helpers.inference.engines import Engine, EngineError

DIED = "workers that live, found that they died .*; give each more memory"


def test_results_come_in_order_and_few_are_worked_on_ahead():
    begun, lock = [], threading.Lock()

    def work(item: int) -> int:
        with lock:
            begun.append(item)
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * item

    results = Engine(workers=2).work_through(work, range(12))
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

    results = Engine(workers=1).work_through(work, range(100))
    assert next(results) == 0
    with pytest.raises(InputError, match="the second"):
        list(results)
    assert len(begun) < 6


def test_nothing_to_do_starts_nothing(monkeypatch):
    monkeypatch.setattr(Engine, "_connect", None)
    with Engine("dask") as engine:
        assert list(engine.work_through(str, [])) == []


@pytest.mark.parametrize("engine", ["spark", "", "node:8786"])
def test_another_engine_is_refused(engine):
    with pytest.raises(InputError, match="engine: expected threads, dask or the address of a scheduler"):
        Engine(engine)


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(workers):
    with pytest.raises(InputError, match=f"workers: expected 1 or more, found {workers}"):
        Engine(workers=workers)


def test_dask_must_be_there(monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="Dask, which is not installed"):
        Engine("dask")


def test_a_scheduler_must_answer(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(engines, "SECONDS", 1)
    engine = Engine("tcp://127.0.0.1:9")
    with engine, pytest.raises(EngineError, match="tcp://127.0.0.1:9: expected a Dask scheduler there, none answers"):
        list(engine.work_through(str, [1]))
    assert engine.lost


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            lambda dask: dask.KilledWorker("a block", SimpleNamespace(address="one"), 3),
            "running",
            "workers that live, found that they died .*mem",
        ),
        (lambda dask: CancelledError("lost dependencies"), "running", DIED),
        (lambda dask: CancelledError("lost"), "connecting", r"found it gone \(lost\); start it again"),
        (lambda dask: dask.comm.CommClosedError(), "closed", r"found it gone \(CommClosedError\)"),
    ],
)
def test_a_lost_cluster_is_said(monkeypatch, error, status, words):
    distributed = pytest.importorskip("distributed")
    client = Client(lambda call, *given: call(*given))
    monkeypatch.setattr(Engine, "_connect", lambda self: client)
    with Engine("tcp://node") as engine:
        assert list(engine.work_through(str, [1, 2])) == ["1", "2"]
        client.call, client.status = lambda *_: raise_(error(distributed)), status
        with pytest.raises(EngineError, match=rf"^engine tcp://node: .*{words}"):
            list(engine.work_through(str, [1]))
        assert engine.lost == (status != "running")


def raise_(error: Exception):
    raise error


class Client:
    """Stands in for Dask's: does the work by a call of its own."""

    def __init__(self, call) -> None:
        self.call, self.status = call, "running"

    def scheduler_info(self, n_workers):
        return {"workers": {"one": {}}}

    def scatter(self, work, broadcast, hash):
        return work

    def submit(self, *given, pure):
        future = Future()
        try:
            future.set_result(self.call(*given))
        except Exception as error:
            future.set_exception(error)
        return future


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
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "distributed.scheduler")]
    before = [logger.getEffectiveLevel() for logger in loggers]
    with engines._quiet():
        assert {logger.getEffectiveLevel() for logger in loggers} == {logging.CRITICAL}
    assert [logger.getEffectiveLevel() for logger in loggers] == before
