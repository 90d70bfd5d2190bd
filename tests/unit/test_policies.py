"""What happens to an event whose handler failed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.consumer.policies import IN_PLACE_SECONDS, Again, DeadLetter, RetryInPlace, next_step
from shared.retry import Backoff

STEADY = Backoff(first=1.0, factor=2.0, cap=8.0, jitter=0.0)


def test_a_dead_letter_at_once_is_not_tried_again() -> None:
    assert next_step(DeadLetter(), attempts=1, spent=0.0, random=0.0) == DeadLetter()


def test_waits_grow_until_the_time_is_over() -> None:
    policy = RetryInPlace(within=20.0, backoff=STEADY)
    spent, waits = 0.0, []
    for attempt in range(1, 10):
        step = next_step(policy, attempts=attempt, spent=spent, random=0.5)
        if not isinstance(step, Again):
            break
        waits.append(step.after)
        spent += step.after
    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert isinstance(step, DeadLetter)


@given(st.integers(1, 1000), st.floats(0, 1000), st.floats(0, 0.999))
def test_a_retry_never_ends_after_the_time_that_it_has(attempts: int, spent: float, random: float) -> None:
    step = next_step(RetryInPlace(), attempts=attempts, spent=spent, random=random)
    if isinstance(step, Again):
        assert spent + step.after <= IN_PLACE_SECONDS


@pytest.mark.parametrize("within", [0.0, -1.0, 60.1])
def test_in_place_is_short(within: float) -> None:
    with pytest.raises(ValueError, match="in place"):
        RetryInPlace(within=within)
