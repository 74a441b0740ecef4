"""The one error for bad input: kept apart from other errors, carried between processes, printed in one line."""

import ast
import pickle
from pathlib import Path

import pytest

from helpers import errors
from helpers.errors import InputError, InputWarning, warn

MODULES = sorted((Path(__file__).resolve().parents[1] / "helpers").rglob("*.py"))


def test_is_a_value_error_that_says_only_its_message():
    error = InputError("masks.npy: expected 2 tiles, found 3")
    assert isinstance(error, ValueError)
    assert str(error) == "masks.npy: expected 2 tiles, found 3"


def test_survives_the_way_out_of_a_worker_process():
    error = pickle.loads(pickle.dumps(InputError("masks.npy: cut short")))
    assert type(error) is InputError
    assert str(error) == "masks.npy: cut short"


def test_a_warning_points_at_the_call_from_outside(monkeypatch):
    with pytest.warns(InputWarning, match="odd") as warned:
        warn("odd")
    assert warned[0].filename == __file__
    monkeypatch.setattr(errors, "PACKAGE", __file__)  # as if this file were of the package
    with pytest.warns(InputWarning, match="odd") as warned:
        warn("odd")
    assert warned[0].filename != __file__


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_messages_are_one_line(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    made = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("InputError", "EngineError", "warn")
    ]
    texts = [node.value for call in made for node in ast.walk(call) if isinstance(node, ast.Constant)]
    assert [text for text in texts if "\n" in str(text)] == []
