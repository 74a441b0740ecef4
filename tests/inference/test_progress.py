"""One bar over all pictures: what is left of the work, and nothing of what was done before."""

import io
import sys

import pytest

from helpers.inference.progress import Progress


@pytest.fixture
def paths(tmp_path):
    made = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for path, size in zip(made, (1000, 3000, 1000), strict=True):
        path.write_bytes(bytes(size))
    return made


def test_the_bar_ends_full_whatever_was_kept(paths, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = Progress(paths, shown=True)
    bar.begin(1, paths[0])
    bar.end(worked=False)
    assert (bar._bar.n, bar._bar.total) == (0, 4000)
    bar.begin(2, paths[1])
    bar.expect(blocks=10, missing=5)
    assert bar._bar.total == 2500  # half of its blocks were there
    for _ in range(5):
        bar.step()
    assert bar._bar.n == pytest.approx(0.9 * 1500)
    bar.end(worked=True)
    bar.begin(3, paths[2])
    bar.expect(blocks=0, missing=0)
    bar.end(worked=True)
    assert bar._bar.n == pytest.approx(bar._bar.total)
    bar.close()
    assert "3 of 3, c.png: " in sys.stderr.getvalue()
    assert sys.stderr.getvalue().endswith(" \r")  # nothing of it is left


def test_no_bar_unless_asked_for(paths, capsys):
    bar = Progress(paths, shown=False)
    bar.begin(1, paths[0])
    bar.expect(2, 2)
    bar.step()
    bar.end(worked=True)
    bar.close()
    assert capsys.readouterr().err == ""


def test_where_all_is_kept_there_is_nothing_to_wait_for(paths, capsys):
    bar = Progress(paths, shown=True)
    for number, path in enumerate(paths, 1):
        bar.begin(number, path)
        bar.end(worked=False)
    bar.close()
    assert bar._bar.total == 0
    assert capsys.readouterr().err.endswith(" \r")
