"""One file over HTTP: resumed where it was cut off, and in its place only when it is whole and right."""

import os
import time
from pathlib import Path

import requests
from tqdm import tqdm

from helpers.errors import InputError, in_a_line
from helpers.files import check_free_disk, file_digest

ATTEMPTS = 5  # in a row that bring nothing new
PAUSE_SECONDS = 1.0  # before the second attempt, doubled before each further one
TIMEOUT_SECONDS = 30.0  # for a connection, and between two pieces
PIECE = 1 << 18  # bytes; those of a piece that a cut connection leaves unfinished are lost
BUSY = (408, 425, 429, 500, 502, 503, 504)  # statuses that may pass


class _CutOffError(Exception):
    """The connection failed or the server is busy: worth another attempt."""


CUT_OFF = (_CutOffError, requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def fetch(url: str, path: Path, sha256: str, progress: bool = True) -> Path:
    """Download a file, or go on with a download that was cut off.

    The bytes grow in a hidden file beside `path`, which stays when the connection fails and is resumed by the next
    call. A server that knows no ranges makes it start afresh.

    Args:
        url: where from. An address of https is never followed to one without.
        path: where to; left alone if it is there and right.
        sha256: of the file, hexadecimal. What does not match is deleted.
        progress: show a bar on standard error.

    Returns:
        `path`.

    Raises:
        InputError: the server refuses or keeps failing, sends another file, or the disk is too small.
    """
    if path.exists() and file_digest(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _go_on(url, part, progress)
            break
        except CUT_OFF as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures == ATTEMPTS:
                raise InputError(
                    f"{url}: found no way to fetch it in {ATTEMPTS} attempts ({in_a_line(error)[:160]}), "
                    f"{_size(part) / 1e6:.0f} MB are here; run again to go on from there, or fetch it by other means "
                    "and give the file"
                ) from None
            time.sleep(PAUSE_SECONDS * 2 ** (failures - 1))
        except requests.RequestException as error:
            raise InputError(f"{url}: expected an address to fetch, found none ({in_a_line(error)[:160]})") from None
    found = file_digest(part)
    if found != sha256:
        start = part.read_bytes()[:16]
        part.unlink()
        raise InputError(
            f"{url}: expected the file with SHA-256 {sha256}, found {found} (it begins with {start!r}) and deleted it; "
            "run again, or fetch it by other means and give the file"
        )
    os.replace(part, path)
    return path


def _go_on(url: str, part: Path, progress: bool) -> None:
    """Append what is missing to `part`."""
    there = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise InputError(f"{url}: expected https throughout, found a way to {response.url}; try another network")
        if response.status_code in BUSY:
            raise _CutOffError(f"status {response.status_code}")
        if response.status_code == requests.codes.requested_range_not_satisfiable and there:
            if response.headers.get("Content-Range") != f"bytes */{there}":  # no prefix of what is there now
                part.unlink()
                raise _CutOffError("the file there is shorter than the part here")
            return
        if not response.ok:
            raise InputError(
                f"{url}: expected a file, found status {response.status_code} ({response.reason}); fetch it by other "
                "means and give the file"
            )
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise InputError(
                f"{url}: expected a file, found a web page: a login, or a notice that it has moved; open the "
                "address in a browser, fetch the file there and give it"
            )
        partial = response.status_code == requests.codes.partial_content
        if partial and not response.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
            part.unlink()
            raise _CutOffError("another range than was asked for")
        start = there if partial else 0
        length = response.headers.get("Content-Length", "")
        _write(response, part, start, start + int(length) if length.isdecimal() else None, progress)


def _write(response: requests.Response, part: Path, start: int, total: int | None, progress: bool) -> None:
    if total is not None:
        check_free_disk(part.parent, total - _size(part))
    name = part.name[1 : -len(".part")]
    with (
        open(part, "ab") as file,
        tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=name, disable=not progress) as bar,
    ):
        file.truncate(start)
        for piece in response.iter_content(PIECE):
            try:
                file.write(piece)
            except OSError as error:
                raise InputError(
                    f"{part}: found no way to write it ({error.strerror or error}); make room and run again to go on"
                ) from None
            bar.update(len(piece))
    if total is not None and _size(part) < total:  # older releases of urllib3 do not count
        raise _CutOffError("the connection ended early")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
