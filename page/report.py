"""The executed notebook as pages of the site: light on load, with contents, and figures that enlarge."""

import base64
import hashlib
import html
import re
from pathlib import Path

import nbformat

from helpers.report.web_page import WebPage

PICTURE = re.compile(
    r'<img\b(?P<before>[^>]*?)\bsrc="data:image/(?P<kind>png|jpeg);base64,(?P<data>[^"]+)"(?P<after>[^>]*)>'
)
HEADING = re.compile(r'<h(?P<level>[23])[^>]*\bid="(?P<id>[^"]+)"[^>]*>(?P<text>.*?)</h(?P=level)>', re.DOTALL)
ANCHOR = re.compile(r'<a class="anchor-link".*?</a>', re.DOTALL)
# No script runs here, and nothing comes from elsewhere; nbconvert's styles stand inside.
POLICY = "; ".join(
    [
        *("default-src 'self'", "script-src 'none'", "style-src 'self' 'unsafe-inline'"),
        *("img-src 'self' data:", "font-src 'self' data:"),
    ]
)


def write_report(notebook: Path, folder: Path) -> Path:
    """Write a notebook as `index.html`, its pictures beside it, which are loaded when they come into view.

    Args:
        notebook: an executed one.
        folder: where to; it is made.

    Returns:
        the page.
    """
    folder.mkdir(parents=True)
    page, _ = WebPage(theme="light").from_notebook_node(nbformat.read(notebook, as_version=4))
    page = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)
    page = PICTURE.sub(lambda found: _beside(found, folder), page)
    page = page.replace("<head>", f'<head><meta http-equiv="Content-Security-Policy" content="{POLICY}">', 1)
    page = re.sub(r"(<body[^>]*>)", lambda found: found[0] + _contents(page), page, count=1)
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def _beside(found: re.Match, folder: Path) -> str:
    """Put a picture that stands in the page into a file of its own, which a click on it opens."""
    content = base64.b64decode(found["data"])
    name = f"{hashlib.sha256(content).hexdigest()[:12]}.{found['kind'].replace('jpeg', 'jpg')}"
    (folder / name).write_bytes(content)
    attributes = f"{found['before']} {found['after']}".replace("/", " ").strip()
    return f'<a href="{name}"><img src="{name}" loading="lazy" {attributes}></a>'


def _contents(page: str) -> str:
    """List the page's headings, with links to them."""
    items = [
        f'<li class="level-{found["level"]}"><a href="#{html.escape(found["id"])}">'
        f"{re.sub('<[^>]+>', '', ANCHOR.sub('', found['text'])).strip()}</a></li>"
        for found in HEADING.finditer(page)
    ]
    return (
        '<nav aria-label="Contents"><p><a href="../index.html">Find nuclei in your browser</a></p>'
        f"<details><summary>Contents</summary><ul>{''.join(items)}</ul></details></nav>"
    )
