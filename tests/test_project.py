"""Static gates: the metadata agree with one another, and the tree keeps its shape."""

import ast
import graphlib
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = ROOT / "helpers"
# Full name below `helpers` to file: "model", "data.fold", and a room by its own name for its `__init__`.
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
NOTEBOOK = "cancer_nuclei_analysis.ipynb"

TOP_LEVEL = {
    *(NOTEBOOK, "README.md", "requirements.txt", "pyproject.toml", "Makefile", "LICENSE", "CITATION.cff"),
    *("helpers", "tests", "page", "Dataset", "models", "figures", "findings"),
    *(".github", ".ci", ".gitignore", ".gitattributes"),
}
MAX_MODULE_LINES = 250
MAX_MODULES_IN_A_ROOM = 18
LONGEST_CHAIN = 9
GROUND = "ground"  # the modules that stand in no room
# What each room may import beside itself: arrows run from the ground up to the report, none back.
MAY_IMPORT = {
    GROUND: set(),
    "data": {GROUND},
    "pictures": {GROUND},
    "saving": {GROUND, "pictures"},
    "inference": {GROUND, "pictures", "saving"},
    "datasets": {GROUND, "data"},
    "sample_tissue": {GROUND, "data"},
    "training": {GROUND, "data", "pictures", "saving", "inference"},
    "evaluation": {GROUND, "data", "pictures", "saving", "inference", "training"},
    "explanation": {GROUND, "data", "pictures", "saving", "inference", "training", "evaluation"},
    "report": {
        GROUND,
        "data",
        "pictures",
        "saving",
        "inference",
        "training",
        "evaluation",
        "explanation",
        "sample_tissue",
    },
}
DOORS = {"__init__", "__main__"}  # they lead into every room
ENTRANCES = {*DOORS, "report.publish"}  # they start computing and drawing, so they may import both
PLOTTING = {"matplotlib", "seaborn"}
IMPORT_NAMES = {
    "opencv-python": "cv2",
    "scikit-learn": "sklearn",
    "pillow": "PIL",
    "scikit-image": "skimage",
    "openslide-python": "openslide",
    "openslide-bin": "openslide",  # its library, which it finds by itself
}  # the others only turn "-" into "_"


def read(name: str) -> str:
    path = ROOT / name
    if not path.is_file():
        pytest.fail(f"{name} is missing")
    return path.read_text(encoding="utf-8")


def notebook_sources(cell_type: str) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(read(NOTEBOOK))["cells"] if cell["cell_type"] == cell_type]


def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(tree: ast.Module) -> set[str]:
    """List the full names that a file imports: `from a import b` gives both "a" and "a.b"."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "expected full names: they tell the room"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def imported_modules(path: Path) -> set[str]:
    """List the modules of helpers that a file imports; a room counts where its `__init__` is imported from."""
    names = {name.removeprefix("helpers.") for name in imported(syntax_tree(path)) if name.startswith("helpers.")}
    names &= MODULES.keys()
    return {name for name in names if not any(other.startswith(f"{name}.") for other in names)}


def room(name: str) -> str:
    """Give the room of a module, `GROUND` for one that stands in none."""
    return name.split(".")[0] if name.split(".")[0] in MAY_IMPORT else GROUND


def draws(path: Path) -> bool:
    return any(name.split(".")[0] in PLOTTING for name in imported(syntax_tree(path)))


@pytest.fixture(scope="module")
def project_files() -> list[str]:
    """List what git tracks, or would track if all were added now."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True, encoding="utf-8"
        ).stdout

    try:
        top = Path(git("rev-parse", "--show-toplevel").strip())
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"git does not know this folder: {error}")
    if top.resolve() != ROOT:
        pytest.skip("this folder is a part of another checkout")
    return git("ls-files", "-z", "--cached", "--others", "--exclude-standard").rstrip("\0").split("\0")


# The repository's address: pyproject.toml says it, the others repeat it.


def repositories_named_in(text: str) -> set[str]:
    """List every "owner/name" on GitHub, or on Colab's view of it, that bears this repository's name."""
    name = re.escape(repository().partition("/")[2])
    return set(re.findall(rf"github(?:\.com)?[/:]([\w.-]+/{name})\b", text))


def repository() -> str:
    """Give "owner/name" as pyproject.toml says it."""
    return PYPROJECT["urls"]["Repository"].removeprefix("https://github.com/")


def colab_address() -> str:
    return f"https://colab.research.google.com/github/{repository()}/blob/main/{NOTEBOOK}"


def test_repository_address_is_an_address_on_github():
    assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", PYPROJECT["urls"]["Repository"])
    assert not repository().endswith(".git")


def test_readme_badge_leads_to_the_repository():
    text = read("README.md")
    assert colab_address() in text
    assert repositories_named_in(text) == {repository()}


def test_notebook_badge_leads_to_the_repository():
    text = "\n".join(notebook_sources("markdown"))
    assert colab_address() in text
    assert repositories_named_in(text) == {repository()}


def test_notebook_colab_cell_installs_from_the_repository():
    cells = [source for source in notebook_sources("code") if "google.colab" in source]
    assert len(cells) == 1, "expected one cell for Colab"
    assert repositories_named_in(cells[0]) == {repository()}


def test_citation_names_the_repository():
    found = re.findall(r"^repository-code:\s*[\"']?(\S+?)[\"']?\s*$", read("CITATION.cff"), flags=re.MULTILINE)
    assert found == [PYPROJECT["urls"]["Repository"]]


# Dependencies: requirements.txt gives reasons, pyproject.toml repeats them by what needs them.


def requirement_lines() -> list[str]:
    return [line for line in read("requirements.txt").splitlines() if line.strip() and not line.startswith("#")]


def test_requirements_are_lower_bounds_with_a_reason_each():
    wrong = [line for line in requirement_lines() if not re.fullmatch(r"[\w.-]+>=\d+(\.\d+)*  # \S.{9,}", line)]
    assert wrong == [], "expected: name>=version  # the reason"


def test_requirements_are_the_base_and_the_extras_of_the_notebook():
    extras = PYPROJECT["optional-dependencies"]
    named = [*PYPROJECT["dependencies"], *extras["train"], *extras["notebook"]]
    assert "nuclei-helpers[train]" in named
    assert {line.partition("  #")[0] for line in requirement_lines()} == {*named} - {"nuclei-helpers[train]"}


def test_every_dependency_is_imported_somewhere():
    trees = [syntax_tree(path) for folder in ("helpers", "tests") for path in (ROOT / folder).rglob("*.py")]
    trees += [ast.parse(source) for source in notebook_sources("code") if not re.search(r"^\s*[%!]", source, re.M)]
    names = {name.split(".")[0] for tree in trees for name in imported(tree)}
    lines = [*PYPROJECT["dependencies"], *PYPROJECT["optional-dependencies"]["train"]]
    dependencies = {re.match(r"[\w.-]+", line).group() for line in lines}
    unused = {name for name in dependencies if IMPORT_NAMES.get(name, name.replace("-", "_")) not in names}
    assert unused == set(), "nothing imports these: drop them"


def test_every_room_goes_into_the_wheel():
    tool = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]
    rooms = {".".join(path.parent.relative_to(ROOT).parts) for path in MODULES.values()}
    assert set(tool["packages"]) == rooms | {"helpers.models"}
    assert tool["package-dir"] == {"helpers.models": "models"}


# The tree.


def test_top_level_holds_nothing_unexpected(project_files):
    assert {name.split("/")[0] for name in project_files} - TOP_LEVEL == set()


def test_every_finding_is_listed_and_says_when_and_of_which_versions():
    scripts = sorted((ROOT / "findings").glob("*.sh"))
    page = read("findings/README.md")
    assert scripts
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        assert f"]({script.name})" in page
        assert re.search(r"^# Versions: .+ Date: \d{4}-\d\d-\d\d\.$", text, re.M)
        assert "set -euo pipefail" in text
        assert "mktemp -d" in text


def test_no_data_is_tracked(project_files):
    assert [name for name in project_files if name.startswith("Dataset/")] == ["Dataset/README.md"]


def test_tests_mirror_the_rooms():
    parts = [path.relative_to(PACKAGE) for path in MODULES.values() if path.name != "__init__.py"]
    assert len(parts) > 50, "the modules were not found"
    expected = [ROOT / "tests" / path.parent / f"test_{path.stem.strip('_')}.py" for path in parts]
    assert [str(path) for path in expected if not path.is_file()] == []


@pytest.mark.parametrize("name", MODULES)
def test_no_module_is_long(name):
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_MODULE_LINES, f"{MODULES[name]} has {lines} lines: it wants a second room"


# Imports point one way.


def import_graph() -> dict[str, set[str]]:
    return {name: imported_modules(path) for name, path in MODULES.items()}


def test_imports_form_no_circle_and_no_long_chain():
    graph, depth = import_graph(), {}
    for name in graphlib.TopologicalSorter(graph).static_order():  # raises CycleError and names the circle
        depth[name] = 1 + max((depth[other] for other in graph[name]), default=0)
    assert depth["errors"] == 1
    assert {name: links for name, links in depth.items() if links > LONGEST_CHAIN} == {}


def test_imports_run_from_the_ground_up():
    wrong = {
        f"{name} -> {other}"
        for name, others in import_graph().items()
        for other in others
        if name not in DOORS and room(other) not in MAY_IMPORT[room(name)] | {room(name)}
    }
    assert wrong == set()


def test_a_module_of_the_graph_knows_its_imports():
    assert {"config", "errors", "data.arrays"} <= import_graph()["data.fold"]


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_no_room_is_crowded(name):
    members = [other for other in MODULES if room(other) == name and other not in MAY_IMPORT]
    assert 1 <= len(members) <= MAX_MODULES_IN_A_ROOM


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if not draws(path) and name not in ENTRANCES])
def test_computing_never_imports_drawing(name):
    assert {other for other in imported_modules(MODULES[name]) if draws(MODULES[other])} == set()


def test_no_star_imports():
    stars = [
        path.name
        for folder in ("helpers", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(syntax_tree(path))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]
    assert stars == []
