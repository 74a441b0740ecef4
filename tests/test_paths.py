"""The home folder in a path, on the command line and from Python."""

import inspect
from pathlib import Path

import pytest

from helpers import arguments
from helpers.__main__ import HANDLERS, main
from helpers.arguments import read_arguments
from helpers.errors import InputError
from helpers.inference.trained_model import load_model
from helpers.paths import as_path
from helpers.report.modes import choose_mode
from helpers.sample_tissue.sample import write_sample_fold


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.mark.parametrize("given", ["~/tiles", Path("~/tiles")])
def test_home_folder(home, given):
    assert as_path(given) == home / "tiles"


@pytest.mark.parametrize("given", ["tiles~", "a/~/b", "~nobody-of-this-name/tiles"])
def test_other_paths_stay_as_they_are(given):
    assert as_path(given) == Path(given)


def test_every_path_of_every_command_knows_the_home_folder(home):
    found = 0
    for command, (_, _, described) in arguments.COMMANDS.items():
        line = [command]
        for (name,), options in described:
            if options.get("type") is as_path:
                line += ["~/x"] if not name.startswith("-") else [name, "~/x"]
            elif options.get("required"):
                line += [name, options["choices"][0]]
        options = vars(read_arguments("", HANDLERS, line))
        found += sum(home / "x" in (value if isinstance(value, list) else [value]) for value in options.values())
        assert not any("~" in str(value) for value in options.values())
    assert found == 26
    assert "type=Path" not in inspect.getsource(arguments)


def test_a_quoted_path_makes_no_folder_of_that_name(home, tmp_path, capsys):
    assert main(["sample", "~/slides", "--tiles", "1"]) == 0
    assert capsys.readouterr().out == f"{home / 'slides'}\n"
    assert main(["prepare", "~/slides", "--image-size", "32"]) == 0
    write_sample_fold("~/others", 1, dtype="uint8")
    assert (home / "others" / "Images").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_the_notebooks_data_set_and_weights(home):
    assert choose_mode({"NUCLEI_MODE": "full", "NUCLEI_DATASET": "~/tissue"}).dataset == home / "tissue"
    with pytest.raises(InputError, match="no such weights") as refused:
        load_model("~/weights.safetensors")
    assert str(refused.value).startswith(str(home / "weights.safetensors"))
