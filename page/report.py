"""The executed notebook as a page of the site: light on load, with contents, and figures that enlarge.

nbconvert writes the cells, by its template without styles; what is around them stands in `report.html`.
"""

import base64
import hashlib
import itertools
import re
from pathlib import Path

import nbformat

from helpers.report.web_page import WebPage

SHELL = Path(__file__).with_name("report.html")
PICTURE = re.compile(r'<img\b([^>]*?)\bsrc="data:image/(png|jpeg);base64,([^"]+)"([^>]*?)/?>')
ELSEWHERE = re.compile(r'<img\b[^>]*?\balt="([^"]*)"[^>]*?\bsrc="https?:[^>]*>')
HEADING = re.compile(r'<h([23]) id="([^"]+)">(.*?)</h\1>', re.DOTALL)
ANCHOR = re.compile(r'<a class="anchor-link".*?</a>', re.DOTALL)
WIDE = re.compile(r'<(table|math)\b(?![^>]*display="inline").*?</\1>', re.DOTALL)
# What the page's policy passes over, or has no use for: pandas' styles, and headers without a word.
UNUSED = [
    (re.compile(r"<style\b.*?</style>", re.DOTALL), ""),
    (re.compile(r' style="[^"]*"'), ""),
    (re.compile(r"<th[^>]*></th>"), "<td></td>"),
]


def write_report(notebook: Path, folder: Path) -> Path:
    """Write a notebook as `index.html`, its pictures beside it, which are loaded when they come into view.

    Args:
        notebook: an executed one.
        folder: where to; it is made.

    Returns:
        the page.
    """
    folder.mkdir(parents=True)
    body, _ = WebPage(template_name="basic").from_notebook_node(nbformat.read(notebook, as_version=4))
    for pattern, instead in UNUSED:
        body = pattern.sub(instead, body)
    body = ELSEWHERE.sub(r"\1", body)  # a badge: its words stand for it
    body = PICTURE.sub(lambda found: _beside(found, folder), body)
    # What may be wider than a telephone scrolls by itself, by keyboard too.
    number = itertools.count(1)
    body = WIDE.sub(lambda found: _scrolled(found, next(number)), body)
    title = re.search(r"<h1[^>]*>(.*?)</h1>", ANCHOR.sub("", body), re.DOTALL)[1]
    page = SHELL.read_text(encoding="utf-8")
    for mark, text in (("TITLE", title), ("CONTENTS", _contents(body)), ("BODY", body)):
        page = page.replace(mark, text, 1)
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def _beside(found: re.Match, folder: Path) -> str:
    """Put a picture that stands in the page into a file of its own, which a click on it opens."""
    before, kind, data, after = found.groups()
    content = base64.b64decode(data)
    name = f"{hashlib.sha256(content).hexdigest()[:12]}.{kind.replace('jpeg', 'jpg')}"
    (folder / name).write_bytes(content)
    attributes = " ".join(f"{before} {after}".split())
    return f'<a href="{name}"><img src="{name}" loading="lazy" {attributes}></a>'


def _scrolled(found: re.Match, number: int) -> str:
    """Let a table or an equation scroll within the page."""
    what, box = ("Table", "div") if found[1] == "table" else ("Equation", "span")
    return f'<{box} class="scroll" tabindex="0" role="region" aria-label="{what} ({number})">{found[0]}</{box}>'


def _contents(body: str) -> str:
    """List the headings, with links to them."""
    items = [
        f'<li class="level-{level}"><a href="#{name}">{re.sub("<[^>]+>", "", ANCHOR.sub("", text)).strip()}</a></li>'
        for level, name, text in HEADING.findall(body)
    ]
    return f"<ul>{''.join(items)}</ul>"
