"""Writing files whole or not at all."""

import csv
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from helpers.errors import InputError

LOCK = ".lock"
MERGE_SECONDS = 60  # to wait where something is only added to a file


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there when the block ends without an error.

    A reader sees the old file or the new one, never a part of either. After an error the old file stands untouched.
    The folder is made if it is missing; the temporary path has the same suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk names none
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, wait: float = 0) -> Iterator[None]:
    """Keep a folder to this process while the block runs; the system takes the lock back from one that is killed.

    Args:
        folder: made if it is missing, and removed again if nothing came to stand in it. The lock is a hidden file.
        wait: seconds to wait for another process to end its work there.

    Raises:
        InputError: another process, or another part of this one, is at work there, or it may not be written.
    """
    made = not folder.exists()
    if not (made or folder.is_dir()):
        raise InputError(f"{folder}: expected a folder, or a place for a new one, found a file; give another")
    with ExitStack() as stack:
        stack.callback(_remove_empty, folder, made)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / LOCK, timeout=wait))
        except Timeout:
            raise InputError(
                f"{folder}: another process is at work in it; wait for it, or give another folder"
            ) from None
        except OSError as error:
            raise InputError(
                f"{folder}: cannot be written ({error.strerror or error}); give another folder, or the right to write"
            ) from None
        yield


def _remove_empty(folder: Path, made: bool) -> None:
    """Remove a folder that was made for nothing."""
    if made and folder.is_dir() and [path.name for path in folder.iterdir()] in ([], [LOCK]):
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()


def remove_unfinished(folder: Path, names: Iterable[str]) -> None:
    """Remove what `written_whole` left of files of these names where its process was killed; the folder is locked."""
    for name in map(Path, names):
        for path in folder.glob(f".{name.stem}.*{name.suffix}"):
            if re.fullmatch(r"\d+", path.name[len(name.stem) + 2 : -len(name.suffix)]):
                path.unlink()


def unreadable(path: Path, error: OSError) -> InputError:
    """Say that a file or folder cannot be read."""
    return InputError(f"{path}: cannot be read ({error.strerror or error}); check that it is there and may be read")


def check_free_disk(folder: Path, needed: float) -> None:
    """Refuse to write `needed` bytes into a folder, made or not, whose disk has fewer left, with an InputError."""
    free = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
    if free < needed:
        raise InputError(
            f"{folder}: expected {needed / 1e6:.0f} MB of free disk, found {free / 1e6:.0f} MB; free some, or choose "
            "another folder"
        )


def file_digest(path: Path) -> str:
    """Give the SHA-256 of a file as hexadecimal digits; an InputError where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from None


def write_json(path: Path, value: dict) -> None:
    """Write `value` as indented JSON, whole or not at all; what is not a number (NaN) becomes null."""
    with written_whole(path) as temporary:
        text = json.dumps(_without_nan(value), indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict:
    """Read a JSON object; an InputError where the file is missing, unreadable or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, found something else ({error}); delete it or restore it") from None


def write_csv(path: Path, rows: list[dict]) -> None:
    """Write rows that share their keys as CSV with a header line, whole or not at all."""
    with written_whole(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
