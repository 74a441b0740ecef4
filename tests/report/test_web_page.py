"""The page: equations as MathML and nothing that only looks like one, pictures with words, no script from elsewhere."""

import copy
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest

from helpers.report.web_page import WebPage, take_out_equations

NOTEBOOK = Path(__file__).parents[2] / "cancer_nuclei_analysis.ipynb"
NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"


def page_of(*cells) -> str:
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    before = copy.deepcopy(notebook)
    page, _ = WebPage().from_notebook_node(notebook)
    assert notebook == before
    return page


def test_a_fraction_by_hand():
    markdown, (equation,) = take_out_equations("Half: $$\\frac{1}{2}$$")
    assert markdown == "Half: ⟦equation 0⟧"
    math = ElementTree.fromstring(equation)
    assert math.attrib["display"] == "block"
    assert [number.text for number in math.find(f".//{NAMESPACE}mfrac").iter(f"{NAMESPACE}mn")] == ["1", "2"]


@pytest.mark.parametrize("text", ["`$x$`", "```\n$x$ and $$y$$\n```", "a lone $ sign"])
def test_what_is_no_equation_stays(text):
    assert take_out_equations(text) == (text, [])


def test_no_tex_is_left_in_the_notebook():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert sum("$$" in source for source in sources) >= 4
    assert [source for source in sources if "$" in take_out_equations(source)[0]] == []


def test_equations_reach_the_page_whole_and_in_order():
    cells = [nbformat.v4.new_markdown_cell(f"Let ${letter} = \\sqrt{{2}}$ be.") for letter in "pq"]
    page = page_of(*cells)
    found = [ElementTree.fromstring(math) for math in re.findall(r"<math.*?</math>", page, re.DOTALL)]
    assert [math.find(f".//{NAMESPACE}mi").text for math in found] == ["p", "q"]
    assert all(math.find(f".//{NAMESPACE}msqrt//{NAMESPACE}mn") is not None for math in found)
    assert "⟦" not in page


@pytest.mark.parametrize(("own", "shown"), [({}, "a &lt; b"), ({"image/jpeg": {"alt": "its own"}}, "its own")])
def test_pictures_get_their_own_words_or_else_those_of_the_cell(own, shown):
    output = nbformat.v4.new_output("display_data", {"image/jpeg": "AAAA", "text/plain": "<Figure>"}, metadata=own)
    page = page_of(nbformat.v4.new_code_cell("plot()", outputs=[output], metadata={"alt": "a < b"}))
    assert re.search(rf'<img[^>]*alt="{shown}"', page)
    assert "No description has been provided" not in page


def test_no_script_is_fetched():
    page = page_of(nbformat.v4.new_markdown_cell("text"))
    assert re.findall(r'<script[^>]*src="(?!data:)[^"]*"', page) == []
