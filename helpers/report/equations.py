"""Equations that render without a network: TeX becomes MathML before nbconvert writes the page."""

import re

from latex2mathml.converter import convert
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode

CODE = re.compile(r"(```.*?```|`[^`]*`)", re.DOTALL)
MATH = re.compile(r"\$\$(?P<display>.+?)\$\$|(?<![\\$\w])\$(?P<inline>[^$\n]+?)\$(?![\d$])", re.DOTALL)


class EquationsAsMathML(Preprocessor):
    """Turns the equations of Markdown cells into MathML, which browsers draw by themselves (2023 and newer)."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int) -> tuple[NotebookNode, dict]:
        """Change one cell, as nbconvert asks for it."""
        if cell.cell_type == "markdown":
            cell.source = to_mathml(cell.source)
        return cell, resources


def to_mathml(markdown: str) -> str:
    """Turn `$...$` and `$$...$$` into MathML, code left as it is.

    >>> to_mathml("half: $x$, costs `$1`")
    'half: <math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>x</mi></mrow></math>, costs `$1`'
    """
    parts = CODE.split(markdown)
    parts[::2] = [MATH.sub(_equation, part) for part in parts[::2]]
    return "".join(parts)


def _equation(found: re.Match) -> str:
    kind = "display" if found["display"] else "inline"
    return convert(" ".join(found[kind].split()), display="block" if kind == "display" else "inline")
