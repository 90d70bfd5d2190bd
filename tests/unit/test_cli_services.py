"""Whom the command line asks, why somebody does not answer, and what figures mean, in words."""

import socket
import threading
from time import monotonic
from typing import Any

import pytest
import typer

from tools.cli.addresses import EXAMPLE, VARIABLE, Address, at, declared, find_by_name, publisher_of
from tools.cli.diagnosis import look, silence
from tools.cli.outbox_views import health, verdict
from tools.cli.output import counted, many
from tools.cli.probe import TIMEOUT_VARIABLE, PendingReplies, ProbeReply, timeout_for
from tools.cli.status import ask

RELAY = Address("order-relay", "http://127.0.0.1:8002")
OUTBOX = {
    "outbox_relay_heartbeat_age_seconds": 40.2,
    "outbox_unpublished_events": 14.0,
    "outbox_oldest_unpublished_age_seconds": 38.0,
}


def test_services_are_those_that_are_declared_else_those_of_the_project() -> None:
    assert declared({}) == declared({VARIABLE: ""})
    project = {
        "order": "http://127.0.0.1:8000",
        "notification": "http://127.0.0.1:8001",
        "order-relay": "http://127.0.0.1:8002",
        "notification-relay": "http://127.0.0.1:8003",
    }
    assert project.items() <= {address.name: address.url for address in declared({VARIABLE: ""})}.items()
    assert [address.name for address in declared({VARIABLE: EXAMPLE})] == ["order", "order-relay"]
    mine = declared({VARIABLE: "billing=http://b:1/, billing-relay=https://b:2\n"})
    assert mine == [Address("billing", "http://b:1"), Address("billing-relay", "https://b:2")]
    assert publisher_of(mine[1], mine) == mine[0]
    assert publisher_of(mine[0], mine) is None
    assert (mine[1].is_relay, mine[1].domain) == (True, "billing-events")


@pytest.mark.parametrize("value", ["billing", "billing=", "=http://x", "billing=ftp://x", "billing=127.0.0.1:1"])
def test_what_declares_nothing_is_told_with_an_example(value: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"order=http://127\.0\.0\.1:8000"):
        declared({VARIABLE: value})


def test_a_name_is_found_and_one_that_is_not_there_is_told_with_those_that_are() -> None:
    relays = [address for address in declared({}) if address.is_relay]
    assert find_by_name("order", relays) == find_by_name("order-relay", relays) == RELAY
    with pytest.raises(typer.BadParameter, match="there are: order-relay, notification-relay"):
        find_by_name("billing", relays)
    assert at("http://127.0.0.1:8002/", relays) == RELAY
    assert at("http://elsewhere", relays) == Address("", "http://elsewhere")


@pytest.mark.parametrize(
    ("reply", "outbox", "said"),
    [
        (None, OUTBOX, "the relay of order-events does not answer at http://127.0.0.1:8002 (last heartbeat "
         "40 s ago): its process is stopped or gone, or takes longer than 1 s to say that it lives "
         "(EVENT_TRIO_TIMEOUT_SECONDS); 14 events wait, the oldest for 38 s"),
        (ProbeReply(failure="timed out"), {**OUTBOX, "outbox_unpublished_events": 1.0}, "1 event waits"),
        (ProbeReply(failure="[Errno 111] Connection refused", refused=True), OUTBOX, "the relay of order-events (last "
         "heartbeat 40 s ago) is gone, or was not started; 14 events wait"),
        (ProbeReply(failure="Name or service not known"), {},
         "cannot reach http://127.0.0.1:8002: Name or service not"),
    ],
)  # fmt: skip
def test_who_does_not_answer_is_named_with_the_cause(
    reply: ProbeReply | None, outbox: dict[str, float], said: str
) -> None:
    assert said in silence(RELAY, reply, outbox)


def test_two_processes_that_are_stopped_cost_no_more_time_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their ports take connections, as those of a stopped process do, and nothing ever answers."""
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.3")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        urls = [f"http://127.0.0.1:{found.getsockname()[1]}" for found in (one, other)]
        services = [Address("order", urls[0]), Address("order-relay", urls[1])]
        rows = ask(services)
        assert [row.state for row in rows] == ["no answer", "no answer"]
        assert all("stopped or gone" in row.says[0] for row in rows)
        health = look(services[1], services[0])
        assert health.problem == rows[1].says[0]


def test_patience_is_short_here_and_longer_elsewhere_and_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TIMEOUT_VARIABLE, raising=False)
    assert timeout_for("http://127.0.0.1:1") < timeout_for("http://127.0.0.1:1", "https://there.example") <= 2
    monkeypatch.setenv(TIMEOUT_VARIABLE, "8")
    assert timeout_for("http://127.0.0.1:1") == 8
    monkeypatch.setenv(TIMEOUT_VARIABLE, "long")
    with pytest.raises(typer.BadParameter, match="no number of seconds"):
        timeout_for("http://127.0.0.1:1")


def test_a_question_that_never_ends_is_left_behind() -> None:
    """As the look-up of a name is, which knows no time-out."""
    never = threading.Event()
    asked = PendingReplies({"never": lambda: never.wait(30), "now": lambda: True}, 0.2)
    began = monotonic()
    assert asked.answer("now") is True
    assert asked.answer("never") is None
    assert monotonic() - began < 15
    never.set()


STATE: dict[str, Any] = {
    "relays": 1,
    "paused": None,
    "replay": None,
    "held_groups": {"value": 0, "at_least": False},
    "oldest_pending_seconds": 3.0,
}


@pytest.mark.parametrize(
    ("changed", "readiness", "said"),
    [
        ({}, {}, ["all is well"]),
        ({"paused": {"by": "x"}, "oldest_pending_seconds": 900}, {},
         ["paused, so nothing is sent: ./event-trio outbox resume"]),
        ({"held_groups": {"value": 1, "at_least": False}}, {},
         ["1 group waits for a person: ./event-trio outbox held"]),
        ({"oldest_pending_seconds": 61.0}, {"checks": {"broker": {"ok": False, "detail": "away"}}},
         ["behind: events wait longer than a minute to be sent", "broker: away"]),
        ({"relays": 0}, {}, ["no relay holds a lease: this one cannot renew its own; see its log"]),
    ],
)  # fmt: skip
def test_the_state_of_an_outbox_has_a_verdict(
    changed: dict[str, Any], readiness: dict[str, Any], said: list[str]
) -> None:
    assert verdict({**STATE, **changed}, readiness) == said


@pytest.mark.parametrize(
    ("silent", "alive", "said"),
    [
        (5.2, True, "alive"),
        (12.0, True, "not heard of for 12 s; its lanes are taken over in 3 s"),
        (20.0, False, "dead: not heard of for 20 s; its lanes go to others"),
    ],
)
def test_a_relay_that_is_not_heard_of_is_not_called_alive(silent: float, alive: bool, said: str) -> None:
    assert health({"silent_seconds": silent, "lease_seconds": 15.0, "alive": alive}) == said


def test_one_is_one() -> None:
    assert [many(number, "event") for number in (0, 1, 2, 2000)] == ["0 events", "1 event", "2 events", "2,000 events"]
    assert counted({"value": 1, "at_least": False}, "group") == "1 group"
    assert counted({"value": 1000, "at_least": True}, "group") == "1,000 or more groups"
