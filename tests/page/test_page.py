"""The page as a reader uses it, in a browser."""

import base64
import csv
import gzip
import io
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from playwright.sync_api import Error, Page, expect

import helpers
from helpers.sample_tissue.sample import sample_field

AXE = Path(__file__).resolve().parents[2] / "page/node_modules/axe-core/axe.min.js"
PATIENCE = 120_000  # milliseconds, for a tile may take seconds where other work goes on
FOUND = re.compile(r"^[\d,]+ nuclei found\.$")


def visit(browser, address: str, **options: object) -> Page:
    """Open the page, and wait until its service worker, if there may be one, has made it what it is from then on."""
    page = browser.new_context(**options).new_page()
    page.goto(address)
    while options.get("service_workers") != "block" and not is_isolated(page):
        page.wait_for_timeout(200)
    expect(page.locator("#samples button").first).to_be_visible()
    if not page.workers:
        page.wait_for_event("worker")
    return page


def is_isolated(page: Page) -> bool:
    try:
        return page.evaluate("crossOriginIsolated")
    except Error:  # it is being loaded again
        return False


@pytest.fixture(scope="module")
def visited(browser, address) -> Iterator[Page]:
    page = visit(browser, address, viewport={"width": 1280, "height": 900})
    yield page
    page.context.close()


@pytest.fixture
def page(visited) -> Page:
    """The page as it was visited, its threshold where it was then."""
    visited.locator("#threshold").fill(visited.locator("#threshold").evaluate("slider => slider.defaultValue"))
    return visited


def give(page: Page, content: bytes, name: str = "tile.png") -> None:
    page.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def find(page: Page, content: bytes, name: str = "tile.png") -> int:
    """Give the page a picture, and tell how many nuclei it counts."""
    forget(page)
    give(page, content, name)
    return count(page)


def forget(page: Page) -> None:
    """Take away what the page said of an earlier picture, so that what it says next is of the new one."""
    page.locator("#status").evaluate("status => { status.textContent = ''; }")


def count(page: Page) -> int:
    expect(page.locator("#status")).to_have_text(FOUND, timeout=PATIENCE)
    return int(page.locator("#status").inner_text().split()[0].replace(",", ""))


def png(image: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", **options)
    return file.getvalue()


def tiff(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, image)
    return file.getvalue()


def tile(slide: int = 0) -> bytes:
    return png(sample_field(slide)[0][:256, :256])


def save(page: Page, kind: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.locator(f"#saves [data-kind={kind}]").click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


@pytest.mark.parametrize("slide", [0, 1])
def test_a_sample_is_counted_as_in_python(page, slide):
    image, _, tissue = sample_field(slide)
    expected = helpers.predict(image, 0.25)
    forget(page)
    page.get_by_role("button", name=tissue).click()
    found = count(page)
    assert found == pytest.approx(len(expected.nuclei), rel=0.01)
    assert page.locator("#scale").input_value() == "0.25"
    rows = {row[0]: row[1:] for row in (line.split("\t") for line in page.locator("#rows").inner_text().splitlines())}
    per_mm2 = float(rows["all"][2].replace(",", ""))
    assert per_mm2 == pytest.approx(len(expected.nuclei) / expected.tissue_mm2, rel=0.02)

    name, content = save(page, "csv")
    table = list(csv.DictReader(io.StringIO(content.decode())))
    assert name == f"{tissue.lower()}.csv"
    assert list(table[0]) == list(expected.nuclei.dtype.names)
    assert len(table) == found
    kinds = [row["kind"] for row in table]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        kind: int(cells[0]) for kind, cells in rows.items() if kind != "all" and cells[0] != "0"
    }
    name, content = save(page, "labels")
    labels = tifffile.imread(io.BytesIO(content))
    assert name == f"{tissue.lower()}.labels.tif"
    assert labels.shape == image.shape[:2]
    assert (labels > 0).sum() == pytest.approx((expected.instances > 0).sum(), rel=0.01)
    name, content = save(page, "png")
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(content))), labels)
    assert name == f"{tissue.lower()}.labels.png"
    name, content = save(page, "geojson")
    assert len(json.loads(content)["features"]) == found


def test_probabilities_are_within_a_hundredth_of_pythons(script):
    image = sample_field(2)[0][:300, :280].copy()
    expected = helpers.predict(image, 0.25)
    found = script(
        """const { loadNetwork } = await load("network"), { predictPicture } = await load("predict");
        const run = await loadNetwork(new URL("/", location), model);
        const picture = { rgba: args.rgba, height: 300, width: 280 };
        const { blocks: [{ nuclei }] } = await predictPicture(run, picture, 0.25, model);
        return encode(nuclei.map((logit) => 1 / (1 + Math.exp(-logit / model.temperature))));""",
        rgba=np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]),
    )
    there = np.frombuffer(base64.b64decode(found), np.float32).reshape(300, 280)
    assert np.abs(there - expected.probability).max() < 0.01


def test_predicting_makes_no_request(page):
    find(page, tile())  # the model is loaded
    asked = []
    page.context.on("request", lambda request: asked.append(request.url))
    find(page, tile(1))
    page.locator("#threshold").fill("0.7")
    save(page, "csv")
    page.wait_for_timeout(200)
    assert [url for url in asked if not url.startswith("blob:")] == []


class _Foreign(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def foreign() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Foreign)
    server.asked = 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("service_workers", ["allow", "block"])
def test_the_policy_lets_nothing_out(browser, address, foreign, service_workers):
    page = visit(browser, address, service_workers=service_workers)
    reach = """(url) => fetch(url).then(() => "reached", () => "blocked")"""
    url = f"http://127.0.0.1:{foreign.server_port}/"
    assert page.evaluate(reach, url) == "blocked"
    assert [worker.evaluate(reach, url) for worker in page.workers] == ["blocked"]
    assert foreign.asked == 0
    page.context.close()
    free = browser.new_context(service_workers="block").new_page()
    free.goto(f"{address}model.json")  # which has no policy
    assert free.evaluate(reach, url) == "reached"
    free.context.close()


BAD_FILES = {
    "text.png": b"this is no picture",
    "cut.png": tile()[:2000],
    "empty.jpg": b"",
    "slide.tif": b"II*\0" + bytes(100),
    "cut.tif": tiff(sample_field(0)[0])[:200_000],
    "scan.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
    "large.png": png(np.zeros((7000, 7000), np.uint8)),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_gets_one_sentence(page, name):
    give(page, BAD_FILES[name], name)
    expect(page.locator("#error")).to_have_text(re.compile(rf"^{re.escape(name)}: [^\n]+\.$"), timeout=PATIENCE)
    if name in ("slide.tif", "cut.tif", "scan.jp2", "large.png"):
        expect(page.locator("#error")).to_contain_text(f'run python -m helpers predict "{name}" --out found')
    expect(page.locator("#saves button").first).to_be_disabled()
    assert find(page, tile()) > 0
    expect(page.locator("#error")).to_be_hidden()


def test_after_a_bad_file_the_picture_before_is_there_and_can_be_searched(page):
    before = find(page, tile())
    give(page, BAD_FILES["text.png"], "text.png")
    expect(page.locator("#error")).to_contain_text("text.png")
    page.locator("#predict").click()
    expect(page.locator("#error")).to_be_hidden()
    assert count(page) == before


def test_doubtful_colours_are_said_and_no_more_for_the_next_picture(page):
    find(page, png(sample_field(0)[0][..., ::-1].copy()))
    expect(page.locator("#doubts")).to_have_text(re.compile(r"^Red and blue seem to be swapped: [^\n]+\.$"))
    find(page, tile())
    expect(page.locator("#doubts")).to_be_empty()


@pytest.mark.parametrize("scale", ["3", "abc", ""])
def test_a_wrong_scale_gets_one_sentence(page, scale):
    find(page, tile())
    page.locator("#scale").fill(scale)
    page.locator("#predict").click()
    expect(page.locator("#error")).to_have_text(re.compile(r"^Expected 0\.1 to 1 micrometres a pixel .+\.$"))


def nuclear_area(page: Page) -> float:
    _, content = save(page, "csv")
    return sum(float(row["area_um2"]) for row in csv.DictReader(io.StringIO(content.decode())))


def test_the_threshold_answers_at_once(page):
    find(page, png(sample_field(0)[0]))
    usual = nuclear_area(page)
    areas = []
    for threshold in ("0.95", "0.05", "0.5"):
        forget(page)
        page.locator("#threshold").fill(threshold)
        expect(page.locator("#status")).to_have_text(FOUND, timeout=PATIENCE)
        areas.append(nuclear_area(page))
    assert areas[0] < usual < areas[1]
    assert areas[2] == usual


def view_of(page: Page) -> str:
    page.wait_for_timeout(100)  # two frames and more
    return page.evaluate("document.getElementById('view').toDataURL()")


def test_everything_goes_by_keyboard(page):
    page.reload()
    page.locator("#samples button").first.focus()
    page.keyboard.press("Enter")
    assert count(page) > 0
    page.locator("#view").focus()
    seen = [view_of(page)]
    for key in ("+", "ArrowLeft", "ArrowDown", "-", "0"):
        page.keyboard.press(key)
        seen.append(view_of(page))
    assert len(set(seen[:-1])) == 5
    assert seen[-1] == seen[0]  # the whole picture again
    page.locator("#outlines").focus()
    page.keyboard.press("Space")
    assert view_of(page) != seen[0]
    page.keyboard.press("Space")
    reached = set()
    page.locator("a").first.focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.kind"))
    expected = {"file", "scale", "threshold", "predict", "view", "closer", "farther", "whole", "outlines"}
    assert reached >= {*expected, "geojson", "csv", "labels", "png"}


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing(page, colours):
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")
    find(page, tile())
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_scrolls_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    find(page, tile())
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1280, "height": 900})


def test_large_pictures_show_progress_can_be_cancelled_and_never_freeze_the_page(page, tmp_path):
    file = tmp_path / "large.png"  # of its own: what is given as bytes goes through the page's own script
    file.write_bytes(png(np.tile(sample_field(0)[0], (4, 4, 1)), compress_level=1))
    page.evaluate(
        """() => {
          globalThis.longest = 0;
          new PerformanceObserver((list) => {
            for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
          }).observe({ type: "longtask" });
        }"""
    )
    page.locator("#file").set_input_files(file)
    expect(page.locator("#tiles")).to_have_text(re.compile(r"^[1-9]\d* of 121 tiles$"), timeout=PATIENCE)
    page.locator("#cancel").click()
    expect(page.locator("#status")).to_have_text("Cancelled.")
    expect(page.locator("#cancel")).to_be_hidden()
    assert page.evaluate("longest") < 100
    assert find(page, tile()) > 0


def test_the_page_works_without_a_network(browser, address):
    page = visit(browser, address)
    page.context.set_offline(True)
    page.reload()
    assert find(page, tile()) > 0
    page.context.close()


def test_the_page_says_how_many_threads_it_uses(browser, address, page):
    alone = visit(browser, address, service_workers="block")
    expect(alone.locator("#threads")).to_have_text("The model runs in one thread of this machine.")
    alone.context.close()
    threads = min(4, page.evaluate("navigator.hardwareConcurrency"))
    page.reload()
    expect(page.locator("#threads")).to_contain_text(f"{threads} threads" if threads > 1 else "one thread")


def test_the_model_is_light_to_fetch(built):
    files = [built / "model.onnx", *(built / "onnxruntime").iterdir(), *(built / "geotiff").iterdir()]
    contents = [file.read_bytes() for file in files]
    assert sum(map(len, contents)) < 28e6
    assert sum(len(gzip.compress(content, 6)) for content in contents) < 16e6
