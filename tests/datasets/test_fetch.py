"""Downloads from a server of our own that cuts, refuses, forgets and lies."""

import errno
import hashlib
import io
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from file_server import PAGE, FileServer, serving

from helpers.datasets import fetch as fetch_module
from helpers.datasets.fetch import ATTEMPTS, fetch
from helpers.errors import InputError

BODY = np.random.default_rng(0).bytes(300_000)
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(BODY) as server:
        yield server


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """Wait for nothing, keep how long it would have been, and take small pieces."""
    waited: list[float] = []
    monkeypatch.setattr(fetch_module.time, "sleep", waited.append)
    monkeypatch.setattr(fetch_module, "PIECE", 10_000)
    return waited


def get(server: FileServer, folder: Path) -> bytes:
    """Fetch the file without a bar; give what it holds."""
    return fetch(server.url, folder / "file.zip", DIGEST, progress=False).read_bytes()


def listing(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole(server, tmp_path):
    path = fetch(server.url, tmp_path / "deep" / "file.zip", DIGEST, progress=False)
    assert path.read_bytes() == BODY
    assert listing(path.parent) == ["file.zip"]


def test_a_file_that_is_there_is_not_fetched_again(server, tmp_path):
    (tmp_path / "file.zip").write_bytes(BODY)
    get(server, tmp_path)
    assert server.asked == []


def test_a_cut_download_goes_on_where_it_was(server, tmp_path, pauses):
    server.cuts = [100_000, 50_000]
    assert get(server, tmp_path) == BODY
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]
    assert pauses == [1.0, 1.0]  # each attempt brought something new


def test_the_next_call_goes_on_too(server, tmp_path):
    server.cuts, server.statuses = [100_000], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch_module, "ATTEMPTS", 1)
        with pytest.raises(InputError, match="0 MB are here; run again to go on from there"):
            get(server, tmp_path)
    assert listing(tmp_path) == [".file.zip.part"]
    get(server, tmp_path)
    assert server.asked == [None, "bytes=100000-"]
    assert listing(tmp_path) == ["file.zip"]


def test_a_server_without_ranges_starts_afresh(server, tmp_path):
    server.ranges, server.cuts = False, [100_000]
    assert get(server, tmp_path) == BODY
    assert server.asked == [None, "bytes=100000-"]


@pytest.mark.parametrize("more", [b"", b"more"])
def test_a_part_as_long_as_the_file_is_checked_and_a_longer_one_given_up(server, tmp_path, more):
    (tmp_path / ".file.zip.part").write_bytes(BODY + more)
    assert get(server, tmp_path) == BODY
    assert server.asked == [f"bytes={len(BODY + more)}-", *([None] if more else [])]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(server, tmp_path, pauses, status):
    server.statuses = [status, status]
    assert get(server, tmp_path) == BODY
    assert pauses == [1.0, 2.0]


def test_a_server_that_stays_busy_is_given_up(server, tmp_path, pauses):
    server.statuses = [503] * 99
    with pytest.raises(InputError, match=rf"no way to fetch it in {ATTEMPTS} attempts \(status 503\)"):
        get(server, tmp_path)
    assert len(server.asked) == ATTEMPTS
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"statuses": [404]}, "found status 404"),
        ({"body": PAGE, "content_type": "text/html; charset=utf-8"}, "found a web page"),
    ],
)
def test_what_is_no_file_is_not_asked_for_again(server, tmp_path, answer, message):
    vars(server).update(answer)
    with pytest.raises(InputError, match=message):
        get(server, tmp_path)
    assert len(server.asked) == 1
    assert listing(tmp_path) == []


def test_another_file_is_deleted_and_leaves_the_one_that_was_there(server, tmp_path):
    (tmp_path / "file.zip").write_bytes(b"older")
    server.body = PAGE  # not said to be a page
    with pytest.raises(InputError, match=r"expected the file with SHA-256 .* \(it begins with b'<!doctype html>"):
        get(server, tmp_path)
    assert listing(tmp_path) == ["file.zip"]
    assert (tmp_path / "file.zip").read_bytes() == b"older"


def test_too_small_a_disk_is_noticed_before(server, tmp_path, monkeypatch):
    usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 1000))
    with pytest.raises(InputError, match="expected 0 MB of free disk, found 0 MB"):
        get(server, tmp_path)
    assert listing(tmp_path) == []


class FullDisk(io.FileIO):
    """A file that takes no more than the first piece."""

    def write(self, piece: bytes) -> int:
        """Write, or find no room."""
        if self.tell():
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(piece)


def test_a_disk_that_fills_up_keeps_what_came(server, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fetch_module, "open", FullDisk, raising=False)
        with pytest.raises(InputError, match="No space left on device"):
            get(server, tmp_path)
    assert (tmp_path / ".file.zip.part").read_bytes() == BODY[:10_000]
    assert get(server, tmp_path) == BODY


def test_nobody_there(tmp_path):
    with serving(BODY) as server:
        url = server.url
    with pytest.raises(InputError, match=f"no way to fetch it in {ATTEMPTS} attempts"):
        fetch(url, tmp_path / "file.zip", DIGEST, progress=False)


def test_no_address(tmp_path):
    with pytest.raises(InputError, match="expected an address to fetch"):
        fetch("fold_1.zip", tmp_path / "file.zip", DIGEST, progress=False)


def test_https_is_not_left(server, tmp_path, monkeypatch):
    real = fetch_module.requests.get
    monkeypatch.setattr(fetch_module.requests, "get", lambda url, **rest: real(server.url, **rest))
    with pytest.raises(InputError, match="expected https throughout"):
        fetch("https://example.org/fold_1.zip", tmp_path / "file.zip", DIGEST, progress=False)
    assert listing(tmp_path) == []


def test_the_bar_starts_where_the_download_goes_on(server, tmp_path, capsys):
    server.cuts = [200_000]
    fetch(server.url, tmp_path / "file.zip", DIGEST)
    shown = capsys.readouterr().err
    assert "file.zip" in shown
    assert "200k/300k" in shown
