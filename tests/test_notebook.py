"""The notebook's own gate: what can be said of the stored file without running it."""

import ast
import base64
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbval.plugin import find_comment_markers, find_metadata_tags

from helpers.files import read_json
from helpers.report.charts import read_as_jpeg
from helpers.report.publish import ATTACHED
from helpers.report.published_figures import RESULT
from helpers.report.words import result_cell

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "cancer_nuclei_analysis.ipynb"

MAX_BYTES = 2_000_000  # what a repository's page still shows
MEDIAN_LINES = (4, 7)
MAX_CELL_LINES = 25
MAX_FUNCTION_LINES = 10
MIN_COMPARED = 0.7
HOME_PATH = re.compile(r"/(?:home|root|users)/|C:\\+Users", re.IGNORECASE)


@pytest.fixture(scope="module")
def notebook():
    if not NOTEBOOK.is_file():
        pytest.fail(f"{NOTEBOOK.name} is missing")
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def name_of(cell) -> str:
    """Name a cell by its count and first line, so that a message leads to it."""
    return f"[{cell.execution_count}] {cell.source.strip().partition(chr(10))[0][:60]!r}"


def lines_of(cell) -> list[str]:
    return cell.source.strip().splitlines()


def tree_of(cell) -> ast.Module:
    """Parse a cell; shell and magic lines become calls first."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def text_of(output) -> str:
    """Everything an output says in words: pictures are left out."""
    data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
    return json.dumps([output.get("text", ""), data, output.get("traceback", [])], ensure_ascii=False)


def is_for_colab(cell) -> bool:
    return "google.colab" in cell.source


def imports_something(cell) -> bool:
    return any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree_of(cell)))


def is_compared(cell) -> bool:
    """Decide as nbval does; a comment wins over a tag."""
    options = {"check": True, **dict(find_metadata_tags(cell.metadata)), **dict(find_comment_markers(cell.source))}
    return options["check"] and not options.get("skip", False)


def test_file_is_a_valid_notebook(notebook):
    nbformat.validate(notebook)


def test_file_is_small_enough_to_be_shown(notebook):
    size = NOTEBOOK.stat().st_size
    assert size < MAX_BYTES, f"{size / 1e6:.2f} MB; use fewer or smaller figures"


def test_every_cell_has_an_id_of_its_own(notebook):
    # Read again as plain JSON: nbformat would put in the ids that are missing.
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    ids = [cell.get("id") for cell in cells]
    assert all(ids), f"{ids.count(None)} cells have no id"
    assert len(set(ids)) == len(ids), "two cells share an id"


def test_no_code_cell_is_empty(code_cells):
    assert [index for index, cell in enumerate(code_cells) if not cell.source.strip()] == []


def test_notebook_was_run_once_from_top_to_bottom(code_cells):
    counts = [cell.execution_count for cell in code_cells]
    assert counts == list(range(1, len(counts) + 1)), f"execution counts are {counts}; run `make notebook`"


def test_no_output_is_an_error(code_cells):
    cells = [name_of(cell) for cell in code_cells if any(out.output_type == "error" for out in cell.outputs)]
    assert cells == []


def test_no_output_went_to_stderr(code_cells):
    cells = [name_of(cell) for cell in code_cells if any(out.get("name") == "stderr" for out in cell.outputs)]
    assert cells == [], "a warning or a progress bar was stored"


def test_no_output_tells_where_the_notebook_was_run(code_cells):
    found = [
        name_of(cell)
        for cell in code_cells
        for output in cell.outputs
        if HOME_PATH.search(text_of(output)) or str(ROOT) in text_of(output)
    ]
    assert found == [], "a path of one machine was stored"


def test_code_cells_are_short_in_the_median(code_cells):
    median = statistics.median(len(lines_of(cell)) for cell in code_cells)
    low, high = MEDIAN_LINES
    assert low <= median <= high, f"the median code cell has {median} lines, expected {low}-{high}"


def test_no_code_cell_is_long(code_cells):
    long = {name_of(cell): len(lines_of(cell)) for cell in code_cells if len(lines_of(cell)) > MAX_CELL_LINES}
    assert long == {}, f"more than {MAX_CELL_LINES} lines: split the cell or move code into helpers"


def test_no_class_is_defined(code_cells):
    classes = [node.name for cell in code_cells for node in ast.walk(tree_of(cell)) if isinstance(node, ast.ClassDef)]
    assert classes == [], "classes belong into helpers"


def test_no_long_function_is_defined(code_cells):
    long = [
        node.name
        for cell in code_cells
        for node in ast.walk(tree_of(cell))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == [], f"functions of more than {MAX_FUNCTION_LINES} lines belong into helpers"


def test_imports_stand_in_one_cell(code_cells):
    cells = [name_of(cell) for cell in code_cells if imports_something(cell) and not is_for_colab(cell)]
    assert len(cells) == 1, f"expected one import cell beside Colab's, found {cells}"


def test_no_line_ends_in_a_semicolon(code_cells):
    cells = [name_of(cell) for cell in code_cells if any(line.rstrip().endswith(";") for line in lines_of(cell))]
    assert cells == [], "a semicolon does not silence a plot under nbval: end with plt.show()"


def test_every_code_cell_stands_straight_after_prose(notebook):
    pairs = zip(notebook.cells, notebook.cells[1:], strict=False)
    bare = [name_of(cell) for before, cell in pairs if cell.cell_type == "code" and before.cell_type != "markdown"]
    assert bare == []


def test_most_code_cells_are_compared(code_cells):
    compared = sum(is_compared(cell) for cell in code_cells)
    assert compared >= MIN_COMPARED * len(code_cells), f"only {compared} of {len(code_cells)} code cells"


class Shell:
    """What a cell's magic lines call, with the repository on this disk and without `pip`; it takes down all calls."""

    def __init__(self, repository: Path) -> None:
        self.repository, self.calls = repository, []

    def system(self, command: str) -> None:
        self.calls.append(command.split()[0])
        command = re.sub(r"https://github\.com/\S+", self.repository.as_uri(), command)
        subprocess.run(command, shell=True, check=True)

    def run_line_magic(self, name: str, line: str) -> None:
        self.calls.append(name)
        if name == "cd":
            os.chdir(line)


def test_colabs_cell_may_be_run_again(code_cells, tmp_path, monkeypatch):
    (cell,) = filter(is_for_colab, code_cells)
    code = compile(tree_of(cell), "cell", "exec")
    made = tmp_path / "made"
    (made / "helpers").mkdir(parents=True)
    (made / "helpers" / "__init__.py").touch()
    git = "git -c user.name=test -c user.email=test@example.org"
    subprocess.run(f"{git} init -q . && {git} add . && {git} commit -q -m first", shell=True, check=True, cwd=made)
    content, shell = tmp_path / "content", Shell(made)
    content.mkdir()
    monkeypatch.chdir(content)
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    for times in (1, 2):
        exec(code, {"get_ipython": lambda: shell})
        assert Path.cwd() == content / "project"
        assert [path.parent for path in content.rglob("helpers")] == [content / "project"]
        (content / "project" / "runs").mkdir(exist_ok=True)
        assert shell.calls == ["git", "cd", *["pip"] * times]
    monkeypatch.chdir(content)  # as after a new start of the kernel
    exec(code, {"get_ipython": lambda: shell})
    assert (Path.cwd(), shell.calls[4:]) == (content / "project", ["cd", "pip"])
    assert (content / "project" / "runs").is_dir()


# What a reader sees: the result first, and everything shown is named, numbered, described and read.


def pictures_in(cell) -> int:
    return sum(kind.startswith("image/") for output in cell.get("outputs", []) for kind in output.get("data", {}))


def tables_in(cell) -> int:
    """Count tables among the outputs: DataFrames, and Markdown with a row of dashes."""
    texts = ["".join(output.get("data", {}).get("text/html", "")) for output in cell.get("outputs", [])]
    texts += ["".join(output.get("data", {}).get("text/markdown", "")) for output in cell.get("outputs", [])]
    return sum("<table" in text or "| --- |" in text for text in texts)


def captions_in(cell, kind: str) -> list[int]:
    return [int(number) for number in re.findall(rf"\*\*{kind} (\d+)\.\*\*", cell.source)]


def test_the_first_cells_show_the_result_as_it_was_published(notebook):
    title, result, how_to_read = notebook.cells[:3]
    reported = read_json(ROOT / "models" / "results.json")
    assert title.source.startswith("# Cancer Nuclei Analysis")
    assert result.source == result_cell(reported, f"attachment:{ATTACHED}")
    picture = base64.b64decode(result.attachments[ATTACHED]["image/jpeg"])
    assert picture == read_as_jpeg(ROOT / "figures" / RESULT)
    assert "How to read this" in how_to_read.source


@pytest.mark.parametrize("kind", ["Figure", "Table"])
def test_captions_are_numbered_in_order(notebook, kind):
    numbers = [number for cell in notebook.cells for number in captions_in(cell, kind)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_figure_and_table_has_a_caption_below_it(notebook):
    for cell, below in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type == "code":
            found = (len(captions_in(below, "Figure")), len(captions_in(below, "Table")))
            assert (pictures_in(cell), tables_in(cell)) == found, name_of(cell)


def test_every_output_is_read(notebook):
    for cell, below in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type == "code" and cell.outputs:
            assert below.cell_type == "markdown", name_of(cell)
            assert not below.source.startswith("#"), f"nothing reads the output of {name_of(cell)}"


def test_every_picture_has_an_alternative_text(code_cells):
    silent = []
    for cell in code_cells:
        for output in cell.outputs:
            if "image/jpeg" in output.get("data", {}):
                text = output.metadata.get("image/jpeg", {}).get("alt") or cell.metadata.get("alt", "")
                silent += [name_of(cell)] * (len(text) < 20)
    assert silent == []


def test_modules_are_imported_in_the_import_cell_alone(code_cells):
    """Hidden imports: `helpers.report.charts` reached as an attribute, without being named among the imports."""
    hidden = [
        name_of(cell) for cell in code_cells if re.search(r"\bhelpers\.\w+\.", re.sub(r"(?m)^from .*", "", cell.source))
    ]
    assert hidden == []
