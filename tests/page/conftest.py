"""A browser and the built page, for all tests of the page; without either they are skipped, and say what is missing."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

from page import shoot

ROOT = Path(__file__).resolve().parents[2]
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


@pytest.fixture(scope="module")  # not longer: while it is there, no other event loop can run in its thread
def browser() -> Iterator[Browser]:
    """Chromium, the system's or Playwright's own."""
    with sync_playwright() as player:
        found = shoot.chromium_path(player)
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
    """`serve(FOLDER)` serves a folder as a static host does, and gives its address."""
    servers = []

    def start(folder: Path) -> str:
        servers.append(shoot.serve(folder))
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
