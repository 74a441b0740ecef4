"""The parser: every command has a handler, and every choice is one that the code knows."""

import argparse
from pathlib import Path

import pytest

from helpers.__main__ import HANDLERS
from helpers.arguments import DOWNLOADS, NETWORKS, ROWS, read_arguments
from helpers.datasets.convert import CONVERTERS
from helpers.evaluation import ablation
from helpers.training.comparisons import NETWORK_NAMES

REQUIRED = {
    "sample": ["OUT"], "download": [], "convert": ["SOURCE", "OUT", "--kind=nuinsseg"], "prepare": ["DATASET"],
    "train": ["DATASET", "--out=RUN"], "evaluate": ["RUN", "DATASET"], "explain": ["RUN", "DATASET"],
    "ablate": ["DATASET", "--out=FOLDER"], "publish": ["RUN"],
    "predict": ["IMAGE", "--out=FOLDER"], "export": ["--onnx=FILE"],
}  # fmt: skip


def test_every_kind_of_download_can_be_asked_for():
    assert set(DOWNLOADS) == CONVERTERS.keys()


def test_every_network_and_row_can_be_asked_for():
    assert NETWORKS == NETWORK_NAMES
    assert tuple(ablation.ROWS) == ROWS


@pytest.mark.parametrize(
    "line", ["--flips-and-turns m d", "m --flips-and-turns d", "m d --flips-and-turns", "d --flips-and-turns"]
)
def test_options_stand_anywhere(line):
    options = read_arguments("", HANDLERS, ["evaluate", *line.split()])
    assert (options.model, options.dataset) == ([Path("m")] if "m" in line.split() else [], Path("d"))
    assert options.flips_and_turns


@pytest.mark.parametrize("command", HANDLERS)
def test_each_command_leads_to_its_handler(command):
    options = read_arguments("", HANDLERS, [command, *REQUIRED[command]])
    assert isinstance(options, argparse.Namespace)
    assert options.handler is HANDLERS[command]
