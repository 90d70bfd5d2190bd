"""When an observation of an empty check queue may be relied on: once its approximate counts are accurate."""

import pytest

from services.relay.confirmation.empty_queue import COUNTS, EmptyQueueObservations, is_empty


def test_an_observation_counts_only_once_it_is_old_enough() -> None:
    tested = EmptyQueueObservations(60)
    assert tested.since(100) is None
    assert tested.wanted(100)
    tested.observe(100)
    assert tested.since(159) is None
    assert not tested.wanted(159)
    assert tested.since(160) == 60


def test_the_newest_observation_that_is_old_enough_counts() -> None:
    """One a second, for ever: what counts is never far behind, and an older one does not go before a newer one."""
    tested = EmptyQueueObservations(60)
    ages = []
    for now in range(1000):
        tested.observe(now)
        if (age := tested.since(now)) is not None:
            ages.append(age)
    assert 60 <= min(ages) <= max(ages) <= 120
    assert tested.since(5000) == pytest.approx(4000, abs=100)


@pytest.mark.parametrize(
    ("attributes", "empty"),
    [
        (dict.fromkeys(COUNTS, "0"), True),
        ({}, False),
        *(({**dict.fromkeys(COUNTS, "0"), name: "1"}, False) for name in COUNTS),
        *(({other: "0" for other in COUNTS if other != name}, False) for name in COUNTS),
    ],
)
def test_a_queue_is_empty_only_if_all_counts_are_zero(attributes: dict[str, str], empty: bool) -> None:
    assert is_empty(attributes) is empty
