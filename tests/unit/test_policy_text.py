"""Failure policies as text are those that the setting FAILURE_POLICIES reads."""

import pytest

from event_trio.consumer.policies import (
    DeadLetter,
    FailurePolicy,
    Ignore,
    PublishFailure,
    Rest,
    Retry,
    RetryInPlace,
    Unit,
)
from event_trio.consumer.policy_settings import parse_policy
from event_trio.consumer.policy_text import policy_text


@pytest.mark.parametrize(
    "policy",
    [
        Ignore(),
        DeadLetter(),
        DeadLetter(Rest.WAIT),
        PublishFailure(),
        Retry(),
        Retry(attempts=8, delay=1.5, unit=Unit.MINUTES, backoff=3, then=PublishFailure(), rest=Rest.PASS),
        Retry(then=DeadLetter(Rest.WAIT)),
        Retry(then=Ignore()),
    ],
)
def test_the_setting_reads_the_text(policy: FailurePolicy) -> None:
    assert parse_policy(policy_text(policy)) == policy


def test_the_default_of_handlers_has_a_text() -> None:
    assert policy_text(RetryInPlace()) == "retry_in_place(within=60) then dead_letter"
