"""More threads than one find what one finds."""

from playwright.sync_api import expect
from test_page import count, give, png, visit

from helpers.sample_tissue.sample import sample_field

# The page and its worker each are told of as many cores; the worker begins as a text of the page's.
CORES = """{
  const tell = 'Object.defineProperty(navigator, "hardwareConcurrency", { value: CORES, configurable: true });';
  const Whole = Blob;
  Function(tell)();
  globalThis.Blob = class extends Whole {
    constructor(parts, about) { super(about?.type === "text/javascript" ? [tell, ...parts] : parts, about); }
  };
}"""


def test_two_threads_count_as_one(browser, address):
    picture, counts = png(sample_field(1)[0][:300, :300]), {}
    page = visit(browser, address)
    for threads in (1, 2):
        page.add_init_script(CORES.replace("CORES", str(threads)))
        page.reload()
        expect(page.locator("#threads")).to_contain_text("2 threads" if threads > 1 else "one thread")
        give(page, picture)
        counts[threads] = count(page)
        expect(page.locator("#threads")).to_contain_text("in 2 threads." if threads > 1 else "in one thread.")
    page.context.close()
    assert counts[2] == counts[1] > 0
