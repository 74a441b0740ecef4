"""Who does the work: order, how much at once, and what is refused."""

import threading
import time

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
