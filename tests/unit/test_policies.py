"""What happens to an event whose handler failed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trio.backoff import Backoff
from event_trio.consumer.policies import (
    IN_PLACE_SECONDS,
    LONGEST_WAIT_SECONDS,
    DeadLetter,
    DeferFor,
    FailurePolicy,
    Ignore,
    PublishFailure,
    Rest,
    Retry,
    RetryAfter,
    RetryInPlace,
    Unit,
    next_step,
)
from event_trio.consumer.policy_settings import parse_policies
from event_trio.consumer.router import Router
from event_trio.contracts.orders import OrderPlaced
from event_trio.errors import ConfigurationError

STEADY = Backoff(first=1.0, factor=2.0, cap=8.0, jitter=0.0)


def test_a_dead_letter_at_once_is_not_tried_again() -> None:
    assert next_step(DeadLetter(), attempts=1, spent=0.0, random=0.0) == DeadLetter()


def test_waits_grow_until_the_time_is_over() -> None:
    policy = RetryInPlace(within=20.0, backoff=STEADY)
    spent, waits = 0.0, []
    for attempt in range(1, 10):
        step = next_step(policy, attempts=attempt, spent=spent, random=0.5)
        if not isinstance(step, RetryAfter):
            break
        waits.append(step.after)
        spent += step.after
    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert isinstance(step, DeadLetter)


@given(st.integers(1, 1000), st.floats(0, 1000), st.floats(0, 0.999))
def test_a_retry_never_ends_after_the_time_that_it_has(attempts: int, spent: float, random: float) -> None:
    step = next_step(RetryInPlace(), attempts=attempts, spent=spent, random=random)
    if isinstance(step, RetryAfter):
        assert spent + step.after <= IN_PLACE_SECONDS


@pytest.mark.parametrize("within", [0.0, -1.0, 60.1])
def test_in_place_is_short(within: float) -> None:
    with pytest.raises(ValueError, match="in place"):
        RetryInPlace(within=within)


def test_a_retry_stays_in_place_while_it_is_short_and_is_defer_beyond() -> None:
    policy = Retry(attempts=6, delay=10, backoff=2.0, then=Ignore(), rest=Rest.PASS)
    steps: list[object] = []
    spent = 0.0
    for attempt in range(1, 7):
        step = next_step(policy, attempts=attempt, spent=spent, random=0.0)
        steps.append(step)
        spent += step.after if isinstance(step, RetryAfter) else 0.0
    assert steps == [
        RetryAfter(10),
        RetryAfter(20),
        DeferFor(40, Rest.PASS),
        DeferFor(80, Rest.PASS),
        DeferFor(160, Rest.PASS),
        Ignore(),
    ]


def test_a_message_that_cannot_stay_in_flight_is_deferred_however_short_its_delay() -> None:
    assert next_step(Retry(), attempts=1, spent=None, random=0.0) == DeferFor(1.0, Rest.WAIT)


def test_the_wait_that_a_handler_asks_for_wins_and_is_counted() -> None:
    assert next_step(Retry(attempts=2), attempts=1, spent=0.0, random=0.0, asked=7200) == DeferFor(7200, Rest.WAIT)
    assert next_step(Retry(attempts=2), attempts=2, spent=0.0, random=0.0, asked=7200) == DeadLetter()
    assert next_step(Ignore(), attempts=9, spent=0.0, random=0.0, asked=5) == RetryAfter(5)
    assert next_step(Ignore(), attempts=10, spent=0.0, random=0.0, asked=5) == Ignore()


@given(st.integers(1, 100), st.floats(0.001, 1000), st.sampled_from(Unit), st.floats(1, 100), st.floats(0, 0.999))
def test_waits_grow_and_never_exceed_a_week(
    attempts: int, delay: float, unit: Unit, backoff: float, random: float
) -> None:
    if delay * unit.value > LONGEST_WAIT_SECONDS:
        return
    policy = Retry(attempts=attempts + 1, delay=delay, unit=unit, backoff=backoff)
    waits = [policy.wait(attempt, random) for attempt in range(1, attempts + 1)]
    assert waits == sorted(waits)
    assert waits[0] > 0
    assert waits[-1] <= LONGEST_WAIT_SECONDS


def test_the_last_wait_of_the_boldest_policy_is_a_number() -> None:
    boldest = Retry(attempts=1000, delay=7 * 24, unit=Unit.HOURS, backoff=100)
    assert boldest.wait(1000, 0.0) == LONGEST_WAIT_SECONDS


@pytest.mark.parametrize("factor", [0.9, 100.1, 1e300, float("inf"), float("nan")])
def test_a_backoff_grows_and_cannot_overflow(factor: float) -> None:
    with pytest.raises(ValueError, match="factor must be from 1 to 100"):
        Backoff(factor=factor)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"attempts": 0}, "attempts"),
        ({"delay": 0.0}, "delay"),
        ({"delay": 1e9}, "delay"),
        ({"backoff": 0.5}, "backoff"),
        ({"attempts": 1001}, "attempts"),
        *(({"delay": odd}, "delay") for odd in (-1.0, float("inf"), float("nan"))),
        *(({"backoff": odd}, "backoff") for odd in (100.1, 1e300, float("inf"), float("nan"))),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(given: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Retry(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("ignore", Ignore()),
        ("dead_letter", DeadLetter()),
        ("dead_letter(rest=wait)", DeadLetter(Rest.WAIT)),
        ("publish_failure", PublishFailure()),
        ("retry", Retry()),
        (
            "retry(attempts=9, delay=2, unit=hours, backoff=3, rest=pass) then publish_failure",
            Retry(9, 2.0, Unit.HOURS, 3.0, PublishFailure(), Rest.PASS),
        ),
    ],
)
def test_a_policy_can_be_a_setting(text: str, policy: FailurePolicy) -> None:
    assert parse_policies(f"order.placed: {text};") == {"order.placed": policy}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ignroe", "did you mean 'ignore'"),
        ("retry(attempst=3)", "did you mean 'attempts'"),
        ("retry(unit=hour)", "did you mean 'hours'"),
        ("retry(rest=wiat)", "did you mean 'wait'"),
        *(
            (f"retry(attempts={odd})", "attempts must be a whole number from 1 to 1000, not ")
            for odd in (
                "many",
                "inf",
                "nan",
                "1e400",
                "1e2",
                "5.5",
                "-1",
                "+5",
                "1_0",
                "",
                "0",
                "1001",
                "٥",
                "9" * 5000,
            )
        ),
        *(
            (f"retry({name}={odd})", f"{name} must be ")
            for name in ("delay", "backoff")
            for odd in ("many", "inf", "nan", "1e400", "-1", "1_0", "", "0", "٥", "9" * 5000)
        ),
        ("retry(backoff=100.5)", "backoff must be from 1 to 100"),
        ("retry(attempts=2, attempts=3)", "retry is given 'attempts' twice"),
        ("dead_letter(rest=wait, rest=pass)", "dead_letter is given 'rest' twice"),
        ("retry(3)", "needs a name"),
        ("retry then retry", "cannot follow itself"),
        ("ignore then dead_letter", "only retry"),
        ("ignore(rest=wait)", "ignore has no 'rest'"),
    ],
)
def test_a_misspelt_policy_is_answered_with_what_was_meant(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_policies(f"order.placed: {text}")


@pytest.mark.parametrize("text", ["order.placed", ": ignore", "a: ignore; a: ignore"])
def test_an_entry_is_a_type_and_a_policy(text: str) -> None:
    with pytest.raises(ValueError):
        parse_policies(text)


def test_settings_name_types_that_have_a_handler_and_policies_that_it_can_carry_out() -> None:
    async def record(session: object, event: object, acted: object) -> None: ...

    router = Router()
    router.handle(OrderPlaced, record)
    with pytest.raises(ConfigurationError, match=r"did you mean 'order\.placed'"):
        router.override({"order.palced": Ignore()}, setting="FAILURE_POLICIES")
    with pytest.raises(ConfigurationError, match="declares no failure event"):
        router.override({"order.placed": Retry(then=PublishFailure())}, setting="FAILURE_POLICIES")
    router.override({"order.placed": Ignore()}, setting="FAILURE_POLICIES")
