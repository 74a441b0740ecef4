"""Known systems: of sets that are scored here, and with believable numbers."""

import pytest

from helpers.report.known_systems import KNOWN_SYSTEMS


@pytest.mark.parametrize("system", KNOWN_SYSTEMS, ids=lambda system: system.name)
def test_numbers_are_of_known_sets_and_in_range(system):
    assert set(system.dice) <= {"monuseg-test", "consep-test"}
    for text in system.dice.values():
        ends = [float(end) for end in text.split(" to ")]
        assert ends == sorted(ends)
        assert all(0.5 < end < 1 for end in ends)
    assert system.source
    assert system.training
    assert system.parameters is None or system.parameters > 7.2  # in millions: none is as small as the one here
