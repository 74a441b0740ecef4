"""How the benchmarks measure, and where they write it: one run each, side by side in one JSON file."""

import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import torch

from helpers.errors import InputError
from helpers.files import read_json, write_json
from helpers.inference.onnx_network import usable_cores
from helpers.provenance import describe_environment

torch.set_num_threads(usable_cores())  # of both sides: the tests, whose settings benchmarks share, use one
OUT = Path(__file__).resolve().parents[1] / "models" / "benchmarks.json"
ROUNDS = 5
LOOKED = 10  # seconds


@contextmanager
def record(run: str) -> Iterator[list[dict]]:
    """Take the rows of a run; at the end they replace those of the run of that name, on whatever machine it was."""
    measured: list[dict] = []
    busy = psutil.cpu_percent(LOOKED) / 100 * psutil.cpu_count()  # with other work: this process sleeps meanwhile
    yield measured
    try:
        runs = read_json(OUT)
    except InputError:
        runs = {}
    environment = describe_environment(torch.device("cpu")) | {"processor": processor(), "load": busy}
    runs[run] = {"date": datetime.now(UTC).date().isoformat(), "environment": environment, "rows": measured}
    write_json(OUT, runs)


def processor() -> str:
    """Name the processor, where the system tells, and the widest vectors that it knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def in_turn(
    benchmark, ours: Callable, theirs: Callable, before: Callable = lambda: None, rounds: int = ROUNDS
) -> tuple[float, float, float]:
    """Time two things by turns, after a round of each that does not count.

    Args:
        benchmark: pytest-benchmark's fixture.
        ours: what is measured.
        theirs: what it is measured against.
        before: done before each, and not timed.
        rounds: how often each is timed.

    Returns:
        median seconds of each, and the median of the ratio ours / theirs.
    """
    their_seconds: list[float] = []

    def their_turn() -> None:
        before()
        started = time.perf_counter()
        theirs()
        their_seconds.append(time.perf_counter() - started)
        before()

    benchmark.pedantic(ours, setup=their_turn, rounds=rounds, warmup_rounds=1)
    our_seconds, their_seconds = benchmark.stats.stats.data, their_seconds[1:]
    ratios = [one / other for one, other in zip(our_seconds, their_seconds, strict=True)]
    return statistics.median(our_seconds), statistics.median(their_seconds), statistics.median(ratios)


def add(
    rows: list[dict], what: str, against: str, ours: float, theirs: float | None, unit: str, goal: str, met: bool
) -> None:
    """Enter a measurement."""
    rows.append(
        {"what": what, "ours": ours, "against": against, "theirs": theirs, "unit": unit, "goal": goal, "met": met}
    )
