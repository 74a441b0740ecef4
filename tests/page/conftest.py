"""A browser and the built page, for all tests of the page; without either they are skipped, and say what is missing."""

import base64
import functools
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Takes and gives arrays as base64, for which a browser has functions.
PRELUDE = """async ({ arrays, given }) => {
  const types = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, uint16: Uint16Array };
  const decode = ([type, text]) => new types[type](Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const encode = (array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return btoa(text);
  };
  const load = (name) => import(`/modules/${name}.js`);
  const model = await (await fetch("/model.json")).json();
  const args = Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, decode(array)]));
  Object.assign(args, given);
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")  # not longer: while it is there, no other event loop can run in its thread
def browser() -> Iterator[Browser]:
    """Chromium, the system's or Playwright's own."""
    with sync_playwright() as player:
        found = next(filter(None, map(shutil.which, NAMES)), None) or player.chromium.executable_path
        if not Path(found).is_file():
            pytest.skip("no Chromium: `apt install chromium`, or `python -m playwright install chromium`")
        browser = player.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """The page, built, without the report."""
    if not (ROOT / "page/node_modules").is_dir():
        pytest.skip("no JavaScript packages: `npm ci --ignore-scripts` in `page/`, or `make page`")
    out = tmp_path_factory.mktemp("page") / "built"
    command = [sys.executable, "-m", "page.build", str(out), "--without-report"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serve a folder as a host does that knows nothing but files: `serve(FOLDER)` gives its address."""
    servers = []

    def start(folder: Path) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def address(serve, built) -> str:
    """Where the page is served."""
    return serve(built)


@pytest.fixture(scope="session")
def model(built) -> dict:
    """What the page knows of the network."""
    return json.loads((built / "model.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def script(browser, address) -> Iterator[Callable[..., object]]:
    """Run JavaScript beside the page's modules: `script(BODY, name=array or value, ...)` gives what BODY returns.

    BODY finds what is given in `args`, the model's description in `model`, `load(NAME)` and `encode(ARRAY)`.
    """
    page = browser.new_context(service_workers="block").new_page()
    page.goto(f"{address}model.json")

    def run(body: str, **args: object) -> object:
        arrays = {name: value for name, value in args.items() if isinstance(value, np.ndarray)}
        given = {name: value for name, value in args.items() if name not in arrays}
        encoded = {name: (str(a.dtype), base64.b64encode(a.tobytes()).decode()) for name, a in arrays.items()}
        return page.evaluate(f"{PRELUDE}{body}}}", {"arrays": encoded, "given": given})

    yield run
    page.context.close()
