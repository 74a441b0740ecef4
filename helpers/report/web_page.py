"""The notebook as a web page for everybody: it fetches no script, draws equations without one, says what pictures show.

`python -m nbconvert NOTEBOOK --to=helpers.report.web_page.WebPage` writes it.
"""

import html
import re

from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbformat import NotebookNode

CODE = re.compile(r"(```.*?```|`[^`]*`)", re.DOTALL)
MATH = re.compile(r"\$\$(?P<display>.+?)\$\$|(?<![\\$\w])\$(?P<inline>[^$\n]+?)\$(?![\d$])", re.DOTALL)
NOTHING = "data:text/javascript,"  # in place of a script from elsewhere


class WebPage(HTMLExporter):
    """nbconvert's HTML with equations as MathML, which browsers of 2023 and newer draw, and pictures with their words.

    The words stand in the metadata of the output or of the cell, as `alt`; nbconvert's own template passes them over.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.embed_images = True
        self.mathjax_url = self.require_js_url = NOTHING

    def from_notebook_node(self, nb: NotebookNode, resources: dict | None = None, **more: object) -> tuple[str, dict]:
        """Write the page; the notebook that is given stays as it is."""
        nb, equations = NotebookNode(nb).copy(), []
        nb.cells = [self._prepare(NotebookNode(cell).copy(), equations) for cell in nb.cells]
        page, resources = super().from_notebook_node(nb, resources, **more)
        # Only now: nbconvert takes the elements of an equation in Markdown apart, one by one.
        for number, equation in enumerate(equations):
            page = page.replace(_mark(number), equation)
        return page, resources

    @staticmethod
    def _prepare(cell: NotebookNode, equations: list[str]) -> NotebookNode:
        if cell.cell_type == "markdown":
            cell.source, found = take_out_equations(cell.source, len(equations))
            equations += found
        elif cell.cell_type == "code":
            cell.outputs = [_described(output, cell.metadata.get("alt")) for output in cell.outputs]
        return cell


def take_out_equations(markdown: str, first: int = 0) -> tuple[str, list[str]]:
    """Take `$...$` and `$$...$$` out of Markdown, code left as it is.

    Args:
        markdown: a cell's source.
        first: number of the first equation.

    Returns:
        the source with a mark in each one's place, and the equations as MathML.
    """
    equations = []

    def take_out(found: re.Match) -> str:
        kind = "display" if found["display"] else "inline"
        equations.append(convert(" ".join(found[kind].split()), display="block" if kind == "display" else "inline"))
        return _mark(first + len(equations) - 1)

    parts = CODE.split(markdown)
    parts[::2] = [MATH.sub(take_out, part) for part in parts[::2]]
    return "".join(parts), equations


def _mark(number: int) -> str:
    return f"\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}equation {number}\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"


def _described(output: NotebookNode, text: str | None) -> NotebookNode:
    """Give an output whose JPEG stands in HTML, with its own alternative text or else the cell's."""
    picture = output.get("data", {}).get("image/jpeg")
    text = output.get("metadata", {}).get("image/jpeg", {}).get("alt", text)
    if not picture or not text:
        return output
    source = f"data:image/jpeg;base64,{picture.strip()}"
    return NotebookNode(output | {"data": {"text/html": f'<img src="{source}" alt="{html.escape(text)}">'}})
