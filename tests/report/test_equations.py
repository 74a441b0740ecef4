"""Equations as MathML: all of the notebook's, and nothing that only looks like one."""

import json
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from nbconvert import HTMLExporter

from helpers.report.equations import EquationsAsMathML, to_mathml

NOTEBOOK = Path(__file__).parents[2] / "cancer_nuclei_analysis.ipynb"


def test_a_fraction_by_hand():
    text = to_mathml("$$\\frac{1}{2}$$")
    namespace = "{http://www.w3.org/1998/Math/MathML}"
    math = ElementTree.fromstring(text)
    assert math.attrib["display"] == "block"
    assert [number.text for number in math.find(f".//{namespace}mfrac").iter(f"{namespace}mn")] == ["1", "2"]


@pytest.mark.parametrize("text", ["`$x$`", "```\n$x$ and $$y$$\n```", "a lone $ sign"])
def test_what_is_no_equation_stays(text):
    assert to_mathml(text) == text


def test_no_tex_is_left_in_the_notebook():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    with_math = [source for source in sources if "$$" in source]
    assert len(with_math) >= 4
    for source in sources:
        assert "$" not in to_mathml(source)


def test_nbconvert_takes_it():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("Let $p = \\sigma(z)$.")])
    html, _ = HTMLExporter(preprocessors=[EquationsAsMathML]).from_notebook_node(notebook)
    assert "<mi>σ</mi>" in html or "<mi>&#x003C3;</mi>" in html
