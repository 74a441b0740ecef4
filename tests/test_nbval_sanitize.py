"""The rules by which nbval forgives a difference: every one is loaded, does what it says, and does no more."""

import re
from pathlib import Path

import pytest
from nbval.plugin import get_sanitize_patterns

TEXT = (Path(__file__).parent / "nbval_sanitize.cfg").read_text(encoding="utf-8")
RULES = get_sanitize_patterns(TEXT)

FORGIVEN = {
    "elapsed time": [
        ("12 epochs in 83.4 s", "12 epochs in ELAPSED"),
        ("Trained in 1 min 23 s on the CPU", "Trained in ELAPSED on the CPU"),
        ("prepared in 1 h 2 min 3 s", "prepared in ELAPSED"),
        ("evaluation took 250 ms", "evaluation took ELAPSED"),
        ("elapsed: 4 min", "elapsed: ELAPSED"),
        ("took 2 seconds, Dice 0.851", "took ELAPSED, Dice 0.851"),
    ],
    "memory address": [
        ("<function prepare at 0x7f3c2a1b4d30>", "<function prepare at ADDRESS>"),
        ("<Axes object at 0x000001F2A3B4C5D6>", "<Axes object at ADDRESS>"),
    ],
    "temporary path": [
        ("/tmp/tmpab12cd/Images/images.npy", "TEMPORARY/Images/images.npy"),
        ("wrote '/tmp/fold_x1' again", "wrote 'TEMPORARY' again"),
        ("/private/var/folders/zz/y_1/T/tmpab12/masks.npy", "TEMPORARY/masks.npy"),
        ("/var/folders/zz/y_1/T/tmpab12", "TEMPORARY"),
        (r"C:\Users\ana\AppData\Local\Temp\tmpab12\types.npy", r"TEMPORARY\types.npy"),
    ],
}

# Results, shapes, counts, reported times and stable paths are what the comparison is there for.
COMPARED = [
    "dice 0.802  iou 0.669  n 448",
    "Dice 0.851 in 12 of 64 tiles",
    "in 20 epochs, 5 steps, 3 slides",
    "nuclei in 12 sets",
    "(64, 256, 256, 3) uint8",
    "7,437,213 parameters",
    "inference 15.2 ms a tile",
    "the report's preparation: 4 min 21 s",
    "learning rate 1e-4, 0.25 um/px",
    "looked up at 0xFF",
    "colour 0x00FF00FF",
    "digest 6e19ad380300e8ce9480f9ab6a14cc91",
    "build/sample/Images/images.npy",
    "build/tmp/cache.npy",
    "Dataset/Fold 1/images/fold1/images.npy",
    "<Figure size 1000x400 with 3 Axes>",
]


def sanitize(text: str) -> str:
    """Apply the rules in their order, as nbval does."""
    for regex, replacement in RULES:
        text = re.sub(regex, replacement, text)
    return text


def test_nbval_loads_every_rule_of_the_file():
    sections = re.findall(r"^\[(.+)\]$", TEXT, flags=re.MULTILINE)
    attempts = re.findall(r"^\s*regex\b.*$", TEXT, flags=re.MULTILINE | re.IGNORECASE)
    assert len(RULES) == len(sections) == len(attempts), (
        f"nbval loads {len(RULES)} rules, but the file has {len(sections)} sections and {len(attempts)} regex lines"
    )


def test_every_rule_has_examples_and_no_other_has():
    assert re.findall(r"^\[(.+)\]$", TEXT, flags=re.MULTILINE) == list(FORGIVEN)


@pytest.mark.parametrize(("rule", "name"), list(zip(RULES, FORGIVEN, strict=True)), ids=list(FORGIVEN))
def test_each_rule_alone_forgives_its_examples(rule, name):
    for text, expected in FORGIVEN[name]:
        assert re.sub(*rule, text) == expected


@pytest.mark.parametrize("example", [example for examples in FORGIVEN.values() for example in examples])
def test_the_rules_together_change_no_more_than_the_one_meant(example):
    text, expected = example
    assert sanitize(text) == expected
    assert sanitize(expected) == expected


@pytest.mark.parametrize("text", COMPARED)
def test_what_must_be_compared_is_left_alone(text):
    assert sanitize(text) == text
