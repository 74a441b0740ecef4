"""What weights have learnt from: names that hold in every copy of a set, and what travels from training to training."""

import pytest

from helpers.sources import Seen, source_name


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("TCGA-18-5592-01Z-00-DX1", "TCGA-18-5592"),
        ("TCGA-A7-A13E-01Z-00-DX1", "TCGA-A7-A13E"),
        ("TCGA-2Z-A9JG-01Z-00-DX1_4", "TCGA-2Z-A9JG"),  # as MoNuSAC names regions of a slide
        ("monuseg/tcga_18_5592.tif", "TCGA-18-5592"),
        ("consep-train_3", "consep-train_3"),
        ("consep_test_14", "consep-test_14"),
        ("nuinsseg-07", "nuinsseg"),
        ("NuInsSeg-human bladder", "nuinsseg"),
        ("TCGA-18-55921", None),
        ("train_3", None),  # anybody's
        ("sample-3-000", None),
        ("slide 7", None),
        ("ungrouped-12", None),
        ("", None),
    ],
)
def test_names_of_published_sources(group, name):
    assert source_name(group) == name


def test_a_source_is_known_in_another_copy_and_its_neighbours_are_not():
    seen = Seen().and_then(["a"], ["TCGA-18-5592-01Z-00-DX1", "consep-train_3", "slide 7"], ["TCGA-49-4488-01Z-00-DX1"])
    assert seen.training_sources == ("TCGA-18-5592", "consep-train_3")
    groups = ["TCGA-18-5592-01A-01-TS1", "consep-train_03", "TCGA-18-5593-01Z-00-DX1", "TCGA-49-4488-01Z", "slide 7"]
    assert seen.knows(groups) == [True, True, False, False, False]
    assert seen.knows([]) == []


def test_groups_that_validated_are_not_known_by_the_name_of_their_set():
    seen = Seen().and_then([], ["nuinsseg-01", "nuinsseg-02"], ["nuinsseg-00"])
    assert seen.knows(["nuinsseg-00", "nuinsseg-01", "nuinsseg-human liver"]) == [False, True, True]


def test_a_training_adds_to_what_its_weights_had_seen():
    first = Seen().and_then(["b", "a"], ["consep-train_1"], ["consep-train_2"])
    second = first.and_then(["c", "a"], ["TCGA-18-5592-01Z-00-DX1"], ["consep-train_4", "slide 1"])
    assert second == Seen(("a", "b", "c"), ("TCGA-18-5592", "consep-train_1"), ("consep-train_4",))


def test_weights_made_before_names_travelled_stay_unknown():
    assert Seen.read({"training_tiles": []}) == Seen()
    old = Seen.read({"training_tiles": ["a"]})
    assert old == Seen(("a",), None, ())
    assert old.knows(["consep-train_1"]) == [False]
    assert old.and_then(["b"], ["consep-train_1"], []).training_sources is None
