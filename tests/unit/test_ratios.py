"""The summary of ratios of runs."""

import pytest

from benchmarks.ratios import compare


def test_the_interval_contains_the_median_and_is_deterministic() -> None:
    ratios = [0.9, 1.0, 1.1, 1.2, 5.0]
    found = compare(ratios)
    assert found.median == 1.1
    assert 0.9 <= found.low <= found.median <= found.high <= 5.0
    assert found == compare(ratios)
    assert str(compare([2.0, 2.0])) == "2.000 [2.000, 2.000] of 2 pairs"


def test_no_ratios_are_an_error() -> None:
    with pytest.raises(ValueError, match="no pair"):
        compare([])
