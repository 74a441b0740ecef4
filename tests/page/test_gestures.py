"""Pictures dropped and pasted, and the view under a mouse and under fingers."""

import base64
import io
import math
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from test_page import count, forget, tile, visit

HAND_OVER = """({ kind, content, name }) => {
  const data = new DataTransfer(), bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  if (name) data.items.add(new File([bytes], name, { type: "image/png" }));
  else data.items.add("words", "text/plain");
  const about = { bubbles: true, cancelable: true };
  const event = kind === "paste" ? new ClipboardEvent(kind, { ...about, clipboardData: data })
    : new DragEvent(kind, { ...about, dataTransfer: data });
  document.getElementById("drop").dispatchEvent(event);
  return event.defaultPrevented;
}"""
# The view is drawn at the next frame.
SEEN = """new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() =>
  resolve(document.getElementById("view").toDataURL()))))"""


@pytest.fixture(scope="module")
def page(browser, address) -> Iterator[Page]:
    page = visit(browser, address, viewport={"width": 1280, "height": 900}, has_touch=True)
    yield page
    page.context.close()


def hand_over(page: Page, kind: str, content: bytes = b"", name: str = "") -> bool:
    """Drag, drop or paste a file, or words; tell whether the page took it from the browser."""
    given = {"kind": kind, "content": base64.b64encode(content).decode(), "name": name}
    return page.evaluate(HAND_OVER, given)


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(page, kind):
    forget(page)
    hand_over(page, kind, tile(), "given.png")
    assert count(page) > 0
    with page.expect_download() as download:
        page.locator("#saves [data-kind=csv]").click()
    assert download.value.suggested_filename == "given.csv"


def test_a_file_over_the_page_is_shown_where_it_will_fall(page):
    """The browser itself would leave the page, and show the file."""
    marked = "document.getElementById('drop').classList.contains('over')"
    assert hand_over(page, "dragover", tile(), "given.png")
    assert page.evaluate(marked)
    assert hand_over(page, "dragleave", tile(), "given.png")
    assert not page.evaluate(marked)


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_words_are_no_picture(page, kind):
    hand_over(page, "drop", tile(), "given.png")
    found = count(page)
    hand_over(page, kind)
    page.wait_for_timeout(200)
    assert count(page) == found
    expect(page.locator("#error")).to_be_hidden()


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_file_that_is_no_picture_gets_one_sentence(page, kind):
    hand_over(page, kind, b"this is no picture", "text.png")
    expect(page.locator("#error")).to_contain_text("text.png: this is no picture")


class Fingers:
    """Fingers on the view, at places told from its corner."""

    def __init__(self, page: Page) -> None:
        self.session = page.context.new_cdp_session(page)
        page.locator("#view").scroll_into_view_if_needed()
        self.box = page.locator("#view").bounding_box()

    def put(self, kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": self.box["x"] + x, "y": self.box["y"] + y, "id": id} for id, (x, y) in enumerate(places)]
        self.session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    def move(self, *ways: tuple[tuple[float, float], tuple[float, float]], steps: int = 8) -> None:
        """Move fingers from their first place to their second, together, and lift them."""
        self.put("Start", *(start for start, _ in ways))
        for step in range(1, steps + 1):
            self.put("Move", *(
                tuple(a + (b - a) * step / steps for a, b in zip(start, end, strict=True)) for start, end in ways
            ))  # fmt: skip
        self.put("End")

    def drag(self, x: float, y: float) -> None:
        self.move(((200, 200), (200 + x, 200 + y)))

    def drag_two(self, x: float, y: float) -> None:
        self.move(((200, 200), (200 + x, 200 + y)), ((320, 200), (320 + x, 200 + y)))


@pytest.fixture(scope="module")
def fingers(page) -> Fingers:
    forget(page)
    hand_over(page, "drop", tile(), "given.png")
    count(page)
    return Fingers(page)


def drag_mouse(page: Page, x: float, y: float, button: str = "left") -> None:
    box = page.locator("#view").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down(button=button)
    page.mouse.move(box["x"] + 200 + x, box["y"] + 200 + y, steps=4)
    page.mouse.up(button=button)


def seen(page: Page) -> np.ndarray:
    content = page.evaluate(SEEN).split(",")[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"), np.float32)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    return np.abs(first - second).mean()


def press(page: Page, *keys: str) -> np.ndarray:
    """Press keys on the view, and give what is seen then."""
    page.locator("#view").focus()
    for key in keys:
        page.keyboard.press(key)
    return seen(page)


@pytest.mark.parametrize("how", ["mouse", "a finger", "two fingers"])
def test_the_picture_goes_with_the_hand(page, fingers, how):
    drag = {
        "mouse": lambda x, y: drag_mouse(page, x, y),
        "a finger": fingers.drag,
        "two fingers": fingers.drag_two,
    }[how]
    usual = press(page, "0", "+", "+")
    expected = press(page, "ArrowLeft", "ArrowUp")  # which move the picture by 60 pixels
    assert difference(usual, expected) > 5
    assert difference(press(page, "0", "+", "+"), usual) < 1
    drag(60, 60)
    assert difference(seen(page), expected) < 1


def test_fingers_that_part_zoom_about_their_middle(page, fingers):
    usual = press(page, "0")
    page.mouse.move(fingers.box["x"] + 400, fingers.box["y"] + 300)
    page.mouse.wheel(0, -500 * math.log(2))  # as draw.js reads a wheel: twice as large
    expected = seen(page)
    assert difference(usual, expected) > 5
    assert difference(press(page, "0"), usual) < 1
    fingers.move(((350, 300), (300, 300)), ((450, 300), (500, 300)))
    assert difference(seen(page), expected) < 1
    fingers.move(((300, 300), (350, 300)), ((500, 300), (450, 300)))
    assert difference(seen(page), usual) < 1


def test_a_lifted_finger_is_forgotten(page, fingers):
    press(page, "0", "+", "+")
    fingers.move(((200, 200), (200, 200)), ((400, 300), (400, 300)))
    before = seen(page)
    fingers.drag(60, 0)
    moved = seen(page)
    assert difference(before, moved) > 5
    assert difference(press(page, "ArrowRight"), before) < 1  # moved, not zoomed


def test_only_the_main_button_drags(page, fingers):
    """The context menu may keep the news that another one was let go."""
    before = press(page, "0", "+", "+")
    drag_mouse(page, 60, 0, button="right")
    assert difference(seen(page), before) < 1
