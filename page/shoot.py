"""Take the picture of the built page that the README shows: `make screenshot`.

python -m page.shoot build/page page/screenshot.jpg
python -m page.shoot build/page build/phone.png --width 390 --height 844 --dark    # to look at another
"""

import argparse
import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Playwright, expect, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 120_000  # milliseconds, for a tile may take seconds where other work goes on


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def serve(folder: Path) -> ThreadingHTTPServer:
    """Serve a folder at a free port, as a host does that knows nothing but files, until it is shut down."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def chromium_path(player: Playwright) -> str:
    """Give where Chromium is, or should be: the system's or Playwright's own."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None) or player.chromium.executable_path


def shoot(built: Path, out: Path, width: int, height: int, is_dark: bool = False) -> None:
    """Take a picture of the page with a sample and the nuclei found in it.

    Args:
        built: folder of the built page.
        out: where to, PNG or JPEG by its ending.
        width: of the window, pixels.
        height: of the window, pixels.
        is_dark: show the dark colours.
    """
    server = serve(built)
    try:
        with sync_playwright() as player:
            browser = player.chromium.launch(executable_path=chromium_path(player), args=["--no-sandbox"])
            colours = "dark" if is_dark else "light"
            size = {"width": width, "height": height}
            # Without its service worker the page is not loaded again while it is at work.
            page = browser.new_page(viewport=size, color_scheme=colours, service_workers="block")
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            page.locator("#samples button").first.click()
            expect(page.locator("#saves button").first).to_be_enabled(timeout=PATIENCE)
            page.locator("#threads").evaluate("told => { told.hidden = true; }")  # how fast this machine is
            page.wait_for_timeout(200)  # it is drawn
            page.screenshot(path=out)
            browser.close()
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("built", type=Path, help="folder of the built page")
    parser.add_argument("out", type=Path, help="file to write, PNG or JPEG")
    parser.add_argument("--width", type=int, default=1280, help="of the window in pixels (default: %(default)s)")
    parser.add_argument("--height", type=int, default=900, help="of the window in pixels (default: %(default)s)")
    parser.add_argument("--dark", action="store_true", help="the dark colours")
    chosen = parser.parse_args()
    shoot(chosen.built, chosen.out, chosen.width, chosen.height, chosen.dark)
    print(f"The picture is written: {chosen.out.resolve()}")
