"""Failure policies are shown in words, whatever policy a service has."""

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
from event_trio.consumer.policy_text import policy_text
from services.console.views.failure_policy import policy_lines
from services.console.web.languages import Languages
from services.console.web.times import duration


def words(text: str, language: str = "en") -> str:
    """The sentences as a page shows them."""
    t = Languages().choose(language, "")
    lines = policy_lines(text)
    return " ".join(t(line.key, **{"duration": duration(line.values.get("seconds"))}, **line.values) for line in lines)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (
            Retry(8, 2, Unit.MINUTES, 3, PublishFailure()),
            "8 attempts; the second after 2 min, and each later delay is 3 times the one before. "
            "Later events of its group wait meanwhile. Then its failure is published.",
        ),
        (
            Retry(3, 1.5, backoff=1, then=DeadLetter(Rest.WAIT), rest=Rest.PASS),
            "3 attempts, 1.5 s apart. Later events of its group continue meanwhile. "
            "Then it becomes a dead letter. Later events of its group wait until an operator resolves it.",
        ),
        (RetryInPlace(), "It is tried again for at most 1 min, and its group waits. Then it becomes a dead letter."),
        (Retry(1), "One attempt. Later events of its group wait meanwhile. Then it becomes a dead letter."),
        (DeadLetter(), "It becomes a dead letter."),
        (Ignore(), "It is ignored."),
        (PublishFailure(), "Its failure is published."),
    ],
)
def test_every_policy_has_words(policy: FailurePolicy, text: str) -> None:
    assert words(policy_text(policy)) == text
    korean = words(policy_text(policy), "ko")
    assert "다" in korean
    assert "policy" not in korean


@pytest.mark.parametrize("text", ["retry 3 times", "retry(attempts=many, delay=1)", "park(for=3) then ignore", "a(b"])
def test_a_policy_of_another_version_is_shown_as_it_is(text: str) -> None:
    assert words(text) == text
