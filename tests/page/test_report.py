"""The executed notebook as pages of the site."""

import re
import shutil
from pathlib import Path

import pytest

from page.report import write_report

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "page/node_modules/axe-core/axe.min.js"
FIRST_VIEW = 1e6  # bytes


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    site = tmp_path_factory.mktemp("site")
    for name in ("style.css", "report.css", "icon.svg"):
        shutil.copy(ROOT / "page" / name, site)
    return write_report(ROOT / "cancer_nuclei_analysis.ipynb", site / "report")


@pytest.fixture(scope="module")
def text(written) -> str:
    return written.read_text(encoding="utf-8")


def test_it_asks_nobody_else_and_runs_no_script(text):
    assert "<script" not in text
    assert re.findall(r'(?:src|srcset)="(?:https?:)?//', text) == []
    assert re.findall(r"url\(\s*[\"']?(?:https?:)?//", text) == []
    assert "default-src 'self'; script-src 'none'" in text
    assert " style=" not in text  # which the policy passes over


def test_figures_stand_beside_are_described_and_enlarge(written, text):
    pictures = re.findall(r'<a href="([^"]+)"[^>]*><img src="([^"]+)" loading="lazy"([^>]*)>', text)
    assert len(pictures) > 10
    for link, source, attributes in pictures:
        assert link == source
        assert (written.parent / source).stat().st_size > 1000
        assert re.search(r'alt="[^"]{10,}"', attributes)
    assert len(re.findall("<img", text)) == len(pictures)


def test_contents_lead_to_every_section(text):
    contents = re.search(r'<nav aria-label="Contents">.*?</nav>', text, re.DOTALL)[0]
    leads = re.findall(r'href="#([^"]+)"', contents)
    assert len(leads) > 10
    assert [lead for lead in leads if f'id="{lead}"' not in text] == []


def test_the_first_view_is_light(browser, serve, written):
    page, sizes = browser.new_context(viewport={"width": 1280, "height": 900}).new_page(), {}
    page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    page.goto(f"{serve(written.parents[1])}report/index.html", wait_until="networkidle")
    assert 0 < sum(url.endswith(".jpg") for url in sizes) < len(list(written.parent.glob("*.jpg")))
    assert 100_000 < sum(sizes.values()) < FIRST_VIEW
    page.context.close()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing(browser, serve, written, colours):
    page = browser.new_context(color_scheme=colours).new_page()
    page.goto(f"{serve(written.parents[1])}report/index.html")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found] == []
    page.context.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_scrolls_sideways(browser, serve, written, width):
    page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    page.goto(f"{serve(written.parents[1])}report/index.html")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    page.context.close()
