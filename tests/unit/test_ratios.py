"""What pairs of runs say together, and how surely."""

import pytest

from benchmarks.ratios import compare


def test_the_interval_holds_the_median_and_is_the_same_every_time() -> None:
    ratios = [0.9, 1.0, 1.1, 1.2, 5.0]
    found = compare(ratios)
    assert found.median == 1.1
    assert 0.9 <= found.low <= found.median <= found.high <= 5.0
    assert found == compare(ratios)
    assert str(compare([2.0, 2.0])) == "2.000 [2.000, 2.000] of 2 pairs"


def test_no_pair_says_nothing() -> None:
    with pytest.raises(ValueError, match="no pair"):
        compare([])
