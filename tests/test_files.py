"""Files appear whole or not at all, and JSON that another program can read."""

import errno
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from helpers.errors import InputError
from helpers.files import LOCK, locked, read_json, write_csv, write_json, written_whole


@pytest.fixture
def old(tmp_path) -> Path:
    """A file from an earlier run, alone in its folder."""
    path = tmp_path / "results.json"
    path.write_text('{"old": 1}', encoding="utf-8")
    return path


def test_file_and_folders_are_made(tmp_path):
    path = tmp_path / "run" / "deep" / "model.pth"
    with written_whole(path) as temporary:
        temporary.write_bytes(b"weights")
    assert path.read_bytes() == b"weights"
    assert list(path.parent.iterdir()) == [path]


def test_old_file_stands_until_the_end(old):
    with written_whole(old) as temporary:
        assert temporary.parent == old.parent  # on the same disk, or the move is no single step
        assert temporary.suffix == ".json"
        temporary.write_text("new", encoding="utf-8")
        assert old.read_text(encoding="utf-8") == '{"old": 1}'
    assert old.read_text(encoding="utf-8") == "new"
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(old, error):
    def fail_halfway() -> None:
        with written_whole(old) as temporary:
            temporary.write_text("ne", encoding="utf-8")
            raise error

    with pytest.raises(type(error)):
        fail_halfway()
    assert old.read_text(encoding="utf-8") == '{"old": 1}'
    assert list(old.parent.iterdir()) == [old]


def test_json_round_trip(tmp_path):
    value = {"dice": 0.8, "name": "µm", "classes": ["Dead", None], "deep": {"n": 3, "fine": True}}
    write_json(tmp_path / "results.json", value)
    assert read_json(tmp_path / "results.json") == value
    text = (tmp_path / "results.json").read_text(encoding="utf-8")
    assert "µm" in text
    assert text.endswith("}\n")


def test_what_is_no_number_becomes_null(tmp_path):
    write_json(
        tmp_path / "results.json", {"a": math.nan, "b": [math.inf, (1.5, -math.inf)], "c": {"d": np.float64("nan")}}
    )
    text = (tmp_path / "results.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text) == {"a": None, "b": [None, [1.5, None]], "c": {"d": None}}


@pytest.mark.parametrize(
    ("write", "value"), [(write_json, {"path": Path()}), (write_csv, [{"epoch": 1}, {"epoch": 2, "loss": 0.3}])]
)
def test_what_cannot_be_written_leaves_the_old_file(old, write, value):
    with pytest.raises((TypeError, ValueError), match="Path|loss"):
        write(old, value)
    assert old.read_text(encoding="utf-8") == '{"old": 1}'
    assert list(old.parent.iterdir()) == [old]


@pytest.mark.parametrize("content", [b"", b'{"dice": 0.', b"dice = 0.8", b"\xff\xfe\x00"])
def test_what_is_no_json_is_refused(old, content):
    old.write_bytes(content)
    with pytest.raises(InputError, match="expected JSON") as caught:
        read_json(old)
    assert str(old) in str(caught.value)


def test_missing_or_unreadable_json_is_refused(old, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    with pytest.raises(InputError, match=r"none\.json: there is no such file"):
        read_json(tmp_path / "none.json")
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(InputError, match=r"results\.json: cannot be read \(Permission denied\)"):
        read_json(old)


def test_csv_by_hand(tmp_path):
    write_csv(tmp_path / "history.csv", [{"epoch": 1, "dice": 0.5}, {"dice": 0.25, "epoch": 2}])
    assert (tmp_path / "history.csv").read_bytes() == b"epoch,dice\n1,0.5\n2,0.25\n"


# Locks.


def test_a_folder_is_kept_to_one(tmp_path):
    folder = tmp_path / "run"
    with locked(folder):
        (folder / "file").write_bytes(b"")
        with pytest.raises(InputError, match="run: another process is at work in it"), locked(folder):
            pytest.fail("two in one folder")
    with locked(folder):
        pass
    assert sorted(path.name for path in folder.iterdir()) == [LOCK, "file"]


def test_a_folder_in_which_nothing_came_to_stand_is_removed(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "deep" / "run"):
        raise KeyError
    assert not (tmp_path / "deep" / "run").exists()
    (tmp_path / "own").mkdir()
    with locked(tmp_path / "own"):
        pass
    assert (tmp_path / "own").is_dir()


def test_a_file_is_no_folder(old):
    with pytest.raises(InputError, match="expected a folder, or a place for a new one, found a file"), locked(old):
        pytest.fail("there is no folder")


@contextmanager
def holder(folder: Path, seconds: float) -> Iterator[subprocess.Popen]:
    """Let another process hold the lock of a folder for some seconds."""
    code = "import sys, time\nfrom pathlib import Path\nfrom helpers.files import locked\n"
    code += "with locked(Path(sys.argv[1])):\n    print('locked', flush=True)\n    time.sleep(float(sys.argv[2]))"
    command = [sys.executable, "-c", code, folder, str(seconds)]
    with subprocess.Popen(command, cwd=Path(__file__).resolve().parents[1], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "locked\n"
        yield child


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    with holder(tmp_path, 60) as child:
        with pytest.raises(InputError, match="another process"), locked(tmp_path):
            pytest.fail("it is held")
        child.kill()
    with locked(tmp_path):
        pass


def test_who_waits_gets_the_lock(tmp_path):
    with holder(tmp_path, 0.5), locked(tmp_path, wait=30):
        pass


def test_a_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("helpers.files.FileLock", refuse)  # file modes would not stop root
    with (
        pytest.raises(InputError, match=r"out: cannot be written \(Permission denied\); give another"),
        locked(tmp_path / "out"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_work_in_a_folder_stays_what_it_is(tmp_path):
    with pytest.raises(PermissionError), locked(tmp_path):
        raise PermissionError


def test_a_full_disk_is_told_with_the_file(old):
    with pytest.raises(OSError, match="No space left on device.*results.json"), written_whole(old):
        raise OSError(errno.ENOSPC, "No space left on device")
