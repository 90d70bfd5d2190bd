"""Which services the command line queries, and how it explains their health."""

import socket
import threading
from time import monotonic
from typing import Any

import pytest
import typer

from tools.cli.addresses import EXAMPLE, VARIABLE, Address, find_by_name, find_by_url, load, publisher_of
from tools.cli.diagnosis import check_process, explain_silence
from tools.cli.formats import bounded_plural, plural
from tools.cli.outbox_views import find_problems, health
from tools.cli.probe import TIMEOUT_VARIABLE, PendingReplies, ProbeReply, timeout_for
from tools.cli.status import query

RELAY = Address("order-relay", "http://127.0.0.1:8002")
OUTBOX = {
    "outbox_relay_heartbeat_age_seconds": 40.2,
    "outbox_unpublished_events": 14.0,
    "outbox_oldest_unpublished_age_seconds": 38.0,
}


def test_the_services_of_the_variable_replace_those_of_the_project() -> None:
    assert load({}) == load({VARIABLE: ""})
    project = {
        "order": "http://127.0.0.1:8000",
        "notification": "http://127.0.0.1:8001",
        "order-relay": "http://127.0.0.1:8002",
        "notification-relay": "http://127.0.0.1:8003",
    }
    assert project.items() <= {address.name: address.url for address in load({VARIABLE: ""})}.items()
    assert [address.name for address in load({VARIABLE: EXAMPLE})] == ["order", "order-relay"]
    mine = load({VARIABLE: "billing=http://b:1/, billing-relay=HTTPS://b:2\n"})
    assert mine == [Address("billing", "http://b:1"), Address("billing-relay", "HTTPS://b:2")]
    assert publisher_of(mine[1], mine) == mine[0]
    assert publisher_of(mine[0], mine) is None
    assert (mine[1].is_relay, mine[1].domain) == (True, "billing-events")


@pytest.mark.parametrize("value", ["billing", "billing=", "=http://x", "billing=ftp://x", "billing=127.0.0.1:1"])
def test_an_invalid_declaration_is_rejected_with_an_example(value: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"order=http://127\.0\.0\.1:8000"):
        load({VARIABLE: value})


def test_an_unknown_name_is_rejected_with_the_known_ones() -> None:
    relays = [address for address in load({}) if address.is_relay]
    assert find_by_name("order", relays) == find_by_name("order-relay", relays) == RELAY
    with pytest.raises(typer.BadParameter, match="known services: order-relay, notification-relay"):
        find_by_name("billing", relays)
    assert find_by_url("http://127.0.0.1:8002/", relays) == RELAY
    assert find_by_url("http://elsewhere", relays) == Address("", "http://elsewhere")


@pytest.mark.parametrize(
    ("reply", "outbox", "message"),
    [
        (None, OUTBOX, "the relay of order-events does not answer at http://127.0.0.1:8002 (last heartbeat "
         "40 s ago): it is suspended, overloaded or gone (no reply within 1 s; EVENT_TRIO_TIMEOUT_SECONDS sets the "
         "timeout); 14 unpublished events, the oldest 38 s old"),
        (ProbeReply(failure="timed out"), {**OUTBOX, "outbox_unpublished_events": 1.0}, "1 unpublished event,"),
        (ProbeReply(failure="[Errno 111] Connection refused", refused=True), OUTBOX, "the relay of order-events (last "
         "heartbeat 40 s ago) is not running; 14 unpublished events"),
        (ProbeReply(failure="Name or service not known"), {},
         "cannot reach http://127.0.0.1:8002: Name or service not"),
    ],
)  # fmt: skip
def test_the_cause_of_a_missing_answer_is_explained(
    reply: ProbeReply | None, outbox: dict[str, float], message: str
) -> None:
    assert message in explain_silence(RELAY, reply, outbox)


def test_suspended_processes_are_queried_concurrently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like the port of a suspended process, these accept connections and never answer."""
    monkeypatch.setenv(TIMEOUT_VARIABLE, "0.3")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        urls = [f"http://127.0.0.1:{found.getsockname()[1]}" for found in (one, other)]
        services = [Address("order", urls[0]), Address("order-relay", urls[1])]
        found = query(services)
        assert [service.state for service in found] == ["no answer", "no answer"]
        assert all("suspended, overloaded or gone" in service.details[0] for service in found)
        assert check_process(services[1], services[0]).problem == found[1].details[0]


def test_the_timeout_is_longer_for_remote_addresses_and_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TIMEOUT_VARIABLE, raising=False)
    assert timeout_for("http://127.0.0.1:1") < timeout_for("http://127.0.0.1:1", "https://there.example") <= 2
    monkeypatch.setenv(TIMEOUT_VARIABLE, "8")
    assert timeout_for("http://127.0.0.1:1") == 8
    monkeypatch.setenv(TIMEOUT_VARIABLE, "long")
    with pytest.raises(typer.BadParameter, match="not a number of seconds"):
        timeout_for("http://127.0.0.1:1")


def test_a_request_without_a_timeout_does_not_block() -> None:
    """DNS resolution, for example, has no timeout."""
    never = threading.Event()
    pending = PendingReplies({"never": lambda: never.wait(30), "now": lambda: True}, 0.2)
    began = monotonic()
    assert pending.get("now") is True
    assert pending.get("never") is None
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
    ("changed", "readiness", "problems"),
    [
        ({}, {}, []),
        ({"paused": {"by": "x"}, "oldest_pending_seconds": 900}, {},
         ["paused, so nothing is sent: ./event-trio outbox resume"]),
        ({"held_groups": {"value": 1, "at_least": False}}, {},
         ["1 message group held: ./event-trio outbox held"]),
        ({"oldest_pending_seconds": 61.0}, {"checks": {"broker": {"ok": False, "detail": "away"}}},
         ["late: pending events wait longer than a minute", "broker: away"]),
        ({"relays": 0}, {}, ["no relay holds a lease: this one cannot renew its own; see its log"]),
    ],
)  # fmt: skip
def test_the_problems_of_an_outbox_are_found(
    changed: dict[str, Any], readiness: dict[str, Any], problems: list[str]
) -> None:
    assert find_problems({**STATE, **changed}, readiness) == problems


@pytest.mark.parametrize(
    ("silent", "alive", "text"),
    [
        (5.2, True, "alive"),
        (12.0, True, "late: no heartbeat for 12 s; its lease expires in 3 s"),
        (20.0, False, "dead: no heartbeat for 20 s; it has lost its lanes"),
    ],
)
def test_a_relay_without_a_heartbeat_is_not_shown_as_alive(silent: float, alive: bool, text: str) -> None:
    assert health({"silent_seconds": silent, "lease_seconds": 15.0, "alive": alive}) == text


def test_plurals() -> None:
    assert [plural(number, "event") for number in (0, 1, 2, 2000)] == [
        "0 events",
        "1 event",
        "2 events",
        "2,000 events",
    ]
    assert bounded_plural({"value": 1, "at_least": False}, "group") == "1 group"
    assert bounded_plural({"value": 1000, "at_least": True}, "group") == "1,000 or more groups"
