"""`event-trio events tail`: each step is shown once, and a service that is away is followed again when it returns."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tools.cli import feed
from tools.cli.addresses import Address
from tools.cli.client import ApiClient
from tools.cli.errors import CommandFailed, NotFound
from tools.cli.feed import Feed, Notice, Step
from tools.cli.processes import Process

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat()


def event(**given: Any) -> dict[str, Any]:
    times = dict.fromkeys(("first_sent_at", "sent_at", "first_published_at", "published_at", "held_at", "held_reason"))
    known = {"event_id": "e-1", "type": "order.placed", "subject": "o-1", "recorded_at": at(1), "republished": 0}
    return {**known, **times, **given}


def row(outcome: str, seconds: float, deferred: Mapping[str, str] | None = None) -> dict[str, Any]:
    known = {"event_id": "e-1", "type": "order.placed", "subject": "o-1", "deferred": deferred}
    return {**known, "outcome": outcome, "processed_at": at(seconds)}


class FakeApi:
    """Answers each poll from a script: the events and the rows of that poll, or the failure; the last one repeats."""

    def __init__(self, *polls: tuple[list[dict[str, Any]], list[dict[str, Any]]] | CommandFailed) -> None:
        self._polls = list(polls)

    def get(self, path: str, params: Mapping[str, object]) -> dict[str, Any]:
        poll = self._polls[0]
        if isinstance(poll, CommandFailed):
            self._next()
            raise poll
        if path == "/v1/recorded-events":
            return {"items": poll[0], "next_cursor": None}
        self._next()
        return {"items": poll[1], "next_cursor": None}

    def _next(self) -> None:
        if len(self._polls) > 1:
            self._polls.pop(0)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(feed, "AWAY_SECONDS", 0.01)


def followed(api: FakeApi, count: int) -> list[Step | Notice]:
    """The first steps and notices of a service."""
    process = Process(Address("order", "http://127.0.0.1:8000"), cast(ApiClient, api))
    following = Feed([process], since=BEGAN, criteria={})
    steps: Iterator[Step | Notice] = following.steps(seconds=10)
    found = [next(steps) for _ in range(count)]
    following.stop()
    assert list(steps) == []
    return found


def test_each_step_is_shown_once_with_the_time_since_it_was_recorded() -> None:
    sent, published = {"first_sent_at": at(1.5), "sent_at": at(1.5)}, {"first_published_at": at(2)}
    polls = [([event()], []), ([event(**sent)], []), ([event(**sent, **published)], [row("handled", 1.8)])]
    found = [step for step in followed(FakeApi(*polls), 4) if isinstance(step, Step)]
    assert [(step.name, step.milliseconds) for step in found] == [
        ("recorded", None),
        ("sent", 500.0),
        ("handled", None),
        ("published", 1000.0),
    ]


def test_steps_of_several_services_that_arrive_together_are_in_order() -> None:
    apis = {"order": FakeApi(([event()], [])), "notification": FakeApi(([], [row("handled", 0.5)]))}
    processes = [Process(Address(name, "http://x"), cast(ApiClient, api)) for name, api in apis.items()]
    following = Feed(processes, since=BEGAN, criteria={})
    steps = following.steps(seconds=10)
    found = [next(steps) for _ in range(2)]
    following.stop()
    assert [step.name for step in found if isinstance(step, Step)] == ["handled", "recorded"]


def test_what_happened_before_is_not_shown() -> None:
    (first,) = followed(FakeApi(([event(recorded_at=at(-5), first_sent_at=at(3))], [])), 1)
    assert isinstance(first, Step)
    assert first.name == "sent"


def test_a_replay_and_a_dead_letter_are_steps() -> None:
    again = event(republished=1, first_sent_at=at(2), sent_at=at(9), first_published_at=at(3))
    dead = row("dead_letter", 4, {"reason": "failed", "error": "no"})
    found = followed(FakeApi(([again], [dead])), 5)
    assert [(step.name, step.detail) for step in found if isinstance(step, Step)] == [
        *(("recorded", ""), ("sent", ""), ("published", ""), ("dead letter", "failed: no"), ("sent again", "")),
    ]


def test_a_service_that_is_away_is_named_once_and_followed_when_it_returns() -> None:
    away = CommandFailed("connection refused")
    found = followed(FakeApi(away, away, ([event()], [])), 3)
    assert [each.text if isinstance(each, Notice) else each.name for each in found] == [
        "order is away, and is polled until it returns: connection refused",
        "order is back",
        "recorded",
    ]


def test_a_service_without_the_route_is_no_failure() -> None:
    class Consumer(FakeApi):
        def get(self, path: str, params: Mapping[str, object]) -> dict[str, Any]:
            if path == "/v1/recorded-events":
                raise NotFound("no such route")
            return super().get(path, params)

    (only,) = followed(Consumer(([], [row("handled", 1)])), 1)
    assert isinstance(only, Step)
    assert only.name == "handled"
