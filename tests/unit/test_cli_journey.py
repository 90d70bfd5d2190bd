"""The journey of events: legs with their times, trees by cause, and how both are drawn."""

from typing import Any

import pytest

from event_trio.catalog.journey import EventRecord, Leg, legs, tree
from tools.cli.events import _search
from tools.cli.journey.drawing import as_object, draw, milliseconds
from tools.cli.output import Output

NEVER = ("first_sent_at", "sent_at", "first_published_at", "published_at", "held_at", "held_reason", "held_behind")


def at(seconds: float) -> str:
    return f"2026-01-01T12:00:{seconds:09.6f}+00:00"


def recorded(event_id: str, cause: str | None = None, **given: Any) -> EventRecord:
    row: dict[str, Any] = {
        **{"event_id": event_id, "type": f"type.{event_id}", "subject": "o-1", "sequence": 1, "source": "/s"},
        **{"state": "recorded", "recorded_at": at(0), "attempts": 0, "republished": 0, "last_error": None},
        **{"correlation_id": "c", "causation_id": cause, "trace_id": None},
        **dict.fromkeys(NEVER),
        **given,
    }
    return EventRecord(event_id, publisher="order", recorded=row)


def processed(outcome: str, seconds: float, **deferred: Any) -> dict[str, Any]:
    waits = {"reason": "failed", "error": None, "attempts": 0, "due_at": None, **deferred} if deferred else None
    return {"outcome": outcome, "processed_at": at(seconds), "time": at(0), "deferred": waits}


def shown(record: EventRecord) -> list[tuple[str, float | None, str]]:
    return [(leg.name, leg.milliseconds, leg.detail) for leg in legs(record)]


def test_each_leg_counts_from_the_one_before() -> None:
    done = recorded("a", state="published", first_sent_at=at(0.012), first_published_at=at(0.05), sent_at=at(0.012))
    whole = EventRecord("a", "order", done.recorded, {"notification": processed("handled", 0.03)})
    assert [(leg.name, leg.since, leg.milliseconds) for leg in legs(whole)] == [
        ("recorded", "", None),
        ("sent", "recorded", 12.0),
        ("handled", "sent", 18.0),
        ("published", "sent", 38.0),
    ]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (recorded("a", attempts=2, last_error="Busy"), ("not sent yet", None, "2 failed attempts before: Busy")),
        (recorded("a", state="sent", first_sent_at=at(1)), ("not confirmed yet", None, "")),
        (
            recorded("a", state="held", held_at=at(2), held_reason="refused"),
            ("held", 2000.0, "refused"),
        ),
        (
            recorded("a", republished=2, first_sent_at=at(1), first_published_at=at(1), sent_at=at(9),
                     published_at=at(10)),
            ("published again", 1000.0, ""),
        ),
        (EventRecord("a"), ("recorded", None, "in no outbox: pruned after its retention, or of another publisher")),
    ],
)  # fmt: skip
def test_what_has_not_happened_or_happened_again_is_a_leg(record: EventRecord, expected: tuple[str, Any, str]) -> None:
    assert expected in shown(record)


def test_what_is_not_known_is_not_invented() -> None:
    """A failed attempt within a delivery leaves no row; only a deferred message has a number."""
    once = EventRecord("a", processed={"n": processed("handled", 1)})
    assert ("handled", None, "") in shown(once)
    waits = {"status": "waiting", "attempts": 3, "due_at": at(30), "error": "SMTP is down", "reason": "failed"}
    later = EventRecord("a", processed={"n": processed("deferred", 1, **waits)})
    assert ("deferred", None, f"failed; 3 failed attempts; runs again at {at(30)}; SMTP is down") in shown(later)
    dead = EventRecord("a", processed={"n": processed("dead_letter", 1, status="dead", attempts=1)})
    assert ("dead letter", None, "failed; 1 failed attempt") in shown(dead)


def test_operators_are_named() -> None:
    action = {"action": "redrive", "actor": "olga", "reason": "fixed", "done_at": at(5), "attempts": 4}
    entry = {"action": "discard", "actor": "ida", "reason": "why", "at": at(6), "event_id": "a"}
    record = EventRecord("a", processed={"n": processed("handled", 1)}, actions={"n": (action,)}, audit=(entry,))
    assert [leg for leg in shown(record) if leg[0] in {"redrive", "discard"}] == [
        ("redrive", None, "by olga: fixed; 4 failed attempts before"),
        ("discard", None, "by ida: why"),
    ]


def test_a_change_of_the_group_belongs_to_the_events_that_waited() -> None:
    release = {"action": "release", "actor": "ida", "reason": "why", "at": at(6), "event_id": None}
    sent = recorded("a", state="sent", first_sent_at=at(1))
    waited = recorded("b", state="sent", first_sent_at=at(7))
    names = {
        each.event_id: [leg.name for leg in legs(EventRecord(each.event_id, "order", each.recorded, audit=(release,)))]
        for each in (sent, waited)
    }
    assert names == {
        "a": ["recorded", "sent", "not confirmed yet"],
        "b": ["recorded", "release", "sent", "not confirmed yet"],
    }


def test_events_are_below_their_cause() -> None:
    records = [recorded("c", "b"), recorded("b", "a"), recorded("a"), recorded("x", "unknown"), recorded("d", "a")]
    roots = tree(records)
    assert [node.record.event_id for node in roots] == ["a", "x"]
    assert [node.record.event_id for node in roots[0].caused] == ["b", "d"]
    assert [node.record.event_id for node in roots[0].caused[0].caused] == ["c"]


def test_events_that_cause_each_other_are_drawn_once() -> None:
    roots = tree([recorded("a", "b"), recorded("b", "a"), recorded("s", "s")])
    drawn = [node.record.event_id for node in roots] + [each.record.event_id for node in roots for each in node.caused]
    assert sorted(drawn) == ["a", "b", "s"]


def test_a_tree_survives_a_pipe_and_controls_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    node = tree([recorded("a", type="order.\x1b[31mplaced", first_sent_at=at(0.1), state="sent")])[0]
    Output(as_json=False).tree(draw(node))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.splitlines()[0] == "order.�[31mplaced  a  subject o-1  sequence 1"
    assert "order: sent               12:00:00.100    +100.0 ms after recorded" in out
    legs = as_object(node)["legs"]
    assert [leg["milliseconds"] for leg in legs] == [None, 100.0, None]


@pytest.mark.parametrize(("value", "text"), [(None, ""), (12.34, "+12.3 ms"), (-3.0, "-3.0 ms"), (75_000.0, "+75.0 s")])
def test_durations(value: float | None, text: str) -> None:
    assert milliseconds(value) == text
    assert Leg("a", "b", None).milliseconds is None


def test_a_traceparent_is_a_trace_id() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    for given in (trace, f"00-{trace}-00f067aa0ba902b7-01", trace.upper()):
        search = _search(None, None, None, given, None)
        assert (search.trace_id, search.since is not None) == (trace, True)
    assert _search("e", None, None, None, None).since is None
