"""Where a result comes from: what is recorded, and what is not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import provenance
from helpers.provenance import PACKAGES, describe_environment, device_name, git_commit

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """A folder outside of any checkout, where the package seems to be installed."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    module = tmp_path / "helpers" / "provenance.py"
    module.parent.mkdir()
    module.write_text("")
    monkeypatch.setattr(provenance, "__file__", str(module))
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    run = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return run.stdout.strip()


def test_what_is_recorded():
    found = describe_environment(torch.device("cpu"))
    assert set(found) == {"device", "threads", "python", "packages", "commit"}
    assert found["threads"] == torch.get_num_threads()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert tuple(found["packages"]) == PACKAGES
    assert found["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["packages"]["numpy"] == np.__version__
    assert found["commit"] == git_commit()


def test_nothing_about_the_machines_folders():
    text = json.dumps(describe_environment(torch.device("cpu")))
    for folder in (Path.cwd(), Path.home(), Path(sys.prefix), Path(provenance.__file__).parent):
        if len(folder.parts) > 1:
            assert str(folder) not in text
    assert os.sep not in text.replace("\\\\", os.sep)


def test_name_of_the_processor():
    assert device_name(torch.device("cpu")).startswith(f"CPU, {torch.get_num_threads()} threads (")


def test_name_of_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {device.index}")
    assert device_name(torch.device("cuda", 1)) == "card 1"


def test_no_commit_outside_a_checkout(elsewhere):
    assert git_commit() is None


def test_no_commit_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_commit() is None


@needs_git
def test_commit_of_a_checkout(elsewhere):
    git(elsewhere, "init", "--quiet")
    assert git_commit() is None  # nothing is committed yet
    git(elsewhere, "add", "helpers")
    git(elsewhere, "commit", "--quiet", "-m", "first")
    git(elsewhere, "tag", "-a", "v1.0", "-m", "a tag is no commit")
    head = git(elsewhere, "rev-parse", "HEAD")
    assert len(head) == 40
    assert git_commit() == head
    (elsewhere / "untracked").write_text("data beside the code")
    assert git_commit() == head
    (elsewhere / "helpers" / "provenance.py").write_text("# changed\n")
    assert git_commit() == f"{head}-modified"
