"""What the page costs beside Python on the same processor: `make benchmark`, a few minutes of an idle machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark_run import add, in_turn, record
from made_slides import PREDICT, STATUS, peak_megabytes
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from test_page import FOUND, visit

from helpers.inference.onnx_network import usable_cores
from helpers.inference.trained_model import shipped_model
from helpers.sample_tissue.sample import sample_field

torch.set_num_threads(usable_cores())  # the tests, whose settings this shares, use one
SIDE, FIELD = 4_000, 512  # pixels
WARM = 30  # tiles, while the browser still compiles what it runs
SHORTEST = 50  # milliseconds: of shorter tasks the browser does not tell
MINUTES = 60_000  # milliseconds
LOAD = """async (tile) => {
  const { loadNetwork } = await import("/modules/network.js"), { usableThreads } = await import("/modules/threads.js");
  const model = await (await fetch("/model.json")).json(), run = await loadNetwork(new URL("/", location), model);
  const pixels = Uint8Array.from(tile);
  globalThis.predictTile = async () => { await run(pixels); };
  return usableThreads();
}"""
WATCH = """(shortest) => {
  globalThis.longest = shortest;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
  }).observe({ type: "longtask" });
}"""


@pytest.fixture(scope="module")
def rows() -> Iterator[list[dict]]:
    """What was measured; written at the end."""
    with record("the page") as measured:
        yield measured


@pytest.fixture
def page(browser, address) -> Iterator[Page]:
    page = visit(browser, address)
    yield page
    page.context.close()


def renderer_peak(browser: Browser) -> float:
    """Give the peak of memory in MB of the largest process that shows pages."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    peaks = [
        int(re.search(r"VmHWM:\s+(\d+) kB", Path(str(STATUS).replace("self", str(one["id"]))).read_text())[1])
        for one in processes
        if one["type"] == "renderer"
    ]
    return max(peaks) * 1024 / 1e6


def test_a_tile(benchmark, rows, browser, page):
    image = sample_field(0)[0][:256, :256].copy()
    network = shipped_model(fastest=True).network
    threads = page.evaluate(LOAD, image.ravel().tolist())
    for _ in range(WARM):
        page.evaluate("predictTile()")
    ours, theirs, ratio = in_turn(
        benchmark, lambda: page.evaluate("predictTile()"), lambda: network.run(image[None]), rounds=15
    )
    add(
        rows, f"a tile of 256 pixels in the page, after {WARM}: Chromium {browser.version}, threads: {threads}",
        "Python",
        1000 * ours, 1000 * theirs, "ms", "at most 4 times", ratio <= 4,
    )  # fmt: skip


def test_a_large_picture(rows, browser, page, tmp_path):
    times = -(-SIDE // FIELD)
    image = np.concatenate([np.tile(sample_field(row % 5)[0], (1, times, 1)) for row in range(times)])[:SIDE, :SIDE]
    file = tmp_path / "large.png"
    Image.fromarray(image).save(file, dpi=(101_600, 101_600), compress_level=1)
    page.evaluate(WATCH, SHORTEST)
    page.locator("#file").set_input_files(file)
    expect(page.locator("#status")).to_have_text(FOUND, timeout=20 * MINUTES)
    peak, longest = renderer_peak(browser), page.evaluate("longest")
    of_python, _ = peak_megabytes(PREDICT, file, tmp_path / "out")
    add(
        rows, f"peak memory of the page, a picture of {SIDE:,} x {SIDE:,}", "Python", peak, of_python, "MB",
        "under 1,500 MB", peak < 1500,
    )  # fmt: skip
    add(
        rows, f"longest task of the page's main thread meanwhile ({SHORTEST} if all are shorter)", "no other", longest,
        None, "ms", "under 100 ms", longest < 100,
    )  # fmt: skip
