"""The parser: every command has a handler, and every choice is one that the code knows."""

import argparse

import pytest

from helpers.__main__ import HANDLERS
from helpers.arguments import DOWNLOADS, build_parser
from helpers.datasets.convert import CONVERTERS

REQUIRED = {
    "sample": ["OUT"], "download": [], "convert": ["SOURCE", "OUT", "--kind=nuinsseg"], "prepare": ["DATASET"],
    "train": ["DATASET", "--out=RUN"], "evaluate": ["RUN", "DATASET"], "explain": ["RUN", "DATASET"],
    "ablate": ["DATASET", "--out=FOLDER"], "publish": ["RUN"],
}  # fmt: skip


def test_every_kind_of_download_can_be_asked_for():
    assert set(DOWNLOADS) == CONVERTERS.keys()


@pytest.mark.parametrize("command", HANDLERS)
def test_each_command_leads_to_its_handler(command):
    options = build_parser("", HANDLERS).parse_args([command, *REQUIRED[command]])
    assert isinstance(options, argparse.Namespace)
    assert options.handler is HANDLERS[command]
