"""A local HTTP server that serves files as well or as badly as it is told."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!doctype html><title>Please sign in</title>" * 40


class FileServer(ThreadingHTTPServer):
    """Serves one body under every path.

    Attributes:
        body: what to serve.
        ranges: whether ranges are known.
        cuts: numbers of bytes after which the next answers break off, used up one by one.
        statuses: what the next answers fail with, used up one by one.
        content_type: of every answer.
        redirect: where every answer points to, or None.
        asked: the `Range` header of each request.
    """

    daemon_threads = True

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body, self.ranges, self.content_type = body, True, "application/zip"
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.redirect: str | None = None
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        """Give an address of the file."""
        return f"http://127.0.0.1:{self.server_port}/fold_1.zip"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        if server.redirect:
            self._head(302, 0, Location=server.redirect)
        elif server.statuses:
            self._head(server.statuses.pop(0), len(PAGE))
            self.wfile.write(PAGE)
        elif asked and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked).group(1))
            if start >= len(server.body):
                self._head(416, 0, **{"Content-Range": f"bytes */{len(server.body)}"})
                return
            span = f"bytes {start}-{len(server.body) - 1}/{len(server.body)}"
            self._head(206, len(server.body) - start, **{"Content-Range": span})
            self._send(server.body[start:])
        else:
            self._head(200, len(server.body))
            self._send(server.body)

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in (
            {"Content-Length": str(length), "Content-Type": self.server.content_type} | headers
        ).items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, body: bytes) -> None:
        self.wfile.write(body[: self.server.cuts.pop(0) if self.server.cuts else None])

    def log_message(self, *arguments: object) -> None:
        """Stay quiet."""


@contextmanager
def serving(body: bytes) -> Iterator[FileServer]:
    """Serve `body` while the block runs."""
    with FileServer(body) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
