"""What doctor concludes from what it observed; the observations are those of a healthy system with one change."""

import shlex
from dataclasses import replace
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from tools.cli.doctor.catalog import KINDS, problem
from tools.cli.doctor.command import diagnose
from tools.cli.doctor.observation import Observed
from tools.cli.main import app

ZERO = {"value": 0, "at_least": False}
FINE = {"ok": True, "required": True, "detail": None}
PROCESS = {"topology_prefix": "p-", "aws_region": "us-east-1", "aws_endpoint_url": None, "version": "1.0"}


def queue(name: str, sender: str = "", **given: Any) -> dict[str, Any]:
    senders = [sender] if sender else []
    known = {"name": name, "exists": True, "problem": None, "messages": 0, "in_flight": 0, "high_throughput": True}
    return {**known, "senders": senders, **given}


def subscription(name: str, **given: Any) -> dict[str, Any]:
    known = {"queue": name, "raw_delivery": True, "types": ["order.placed"], "undelivered_queue": "u"}
    return {**known, **given}


def topic(*subscriptions: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {"name": "t", "exists": True, "problem": None, "subscriptions": list(subscriptions), **given}


def service(**given: Any) -> Observed:
    handles = [{"type": "order.placed", "failure_policy": "ignore"}]
    topology = {"topic": topic(subscription("q")), "queue": queue("q", "t"), "handles": handles}
    topology |= {"dead_letter_queue": queue("d"), "undelivered_queue": queue("u", "t")}
    inbox = {"dead": ZERO, "oldest_dead_at": None, "overdue": ZERO, "first_overdue": None}
    known = Observed("notification", False, None, {"database": FINE}, PROCESS, 0.0, 0.0, inbox=inbox, topology=topology)
    return replace(known, **given)


def relay(**given: Any) -> Observed:
    topology = {"topic": topic(subscription("check", types=None)), "publish_check": queue("check", "t")}
    lanes = {"lanes": [{"lane": number, "owner": "r", "owner_alive": True} for number in range(4)]}
    outbox = {"paused": None, "replay": None, "oldest_pending_seconds": None, "pending": ZERO}
    known = Observed("order-relay", True, None, {"broker": FINE}, PROCESS, 0.0, 0.0, outbox, lanes, topology=topology)
    return replace(known, **given)


def source(state: str | None, **given: Any) -> dict[str, Any]:
    return {"source": "wal", "state": state, "detail": "why", "pressure": None, **given}


def checks(name: str, detail: str, *, required: bool = True) -> dict[str, Any]:
    return {"database": FINE, name: {"ok": False, "required": required, "detail": detail}}


def changed(seen: Observed, **parts: Any) -> Observed:
    return replace(seen, topology={**(seen.topology or {}), **parts})


def codes(*seen: Observed) -> list[tuple[str, str]]:
    return [(each.code, each.process) for each in diagnose(list(seen))]


def test_a_healthy_system_has_no_problem() -> None:
    assert codes(service(), relay()) == []
    for state in (None, "starting", "streaming", "standby"):
        assert codes(relay(source=source(state, detail=None))) == []
    assert codes(service(topology={"queue": None})) == []  # a service that consumes nothing


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (service(silence="connection refused"), "service-down"),
        (relay(silence="connection refused"), "relay-down"),
        (service(checks=checks("loops", "consumer ended")), "not-ready"),
        (service(checks=checks("loops", "consumer ended", required=False)), "degraded"),
        (service(checks=checks("migrations", "the database is at migration 0001")), "migrations-behind"),
        (relay(checks=checks("outbox", "the database has no outbox; run the migrations of")), "migrations-behind"),
        (relay(checks=checks("outbox", "this role may not read the outbox")), "role-lacks-rights"),
        (service(checks=checks("database", "the database cannot be reached or")), "database-unavailable"),
        (relay(checks=checks("broker", "EndpointConnectionError")), "broker-outage"),
        (relay(checks=checks("topic", "topic t cannot be read: AuthorizationError")), "not-ready"),
        (service(checks=checks("queue", "cannot receive from queue q: AccessDenied")), "not-ready"),
        (relay(checks=checks("publish-check", "the publish check is broken since 12:00")), "publish-check-broken"),
        (relay(checks=checks("broker-identity", "the queue was recreated")), "broker-recreated"),
        (service(failures=("The key set cannot be read",)), "key-set-unreachable"),
        (service(failures=("x requires an operator's token: give --token",)), "token-refused"),
        (service(failures=("it answered 500",)), "no-details"),
        (service(skew_seconds=-3.0), "clock-skew"),
        (relay(database_skew_seconds=120.0), "clock-skew"),
        (relay(lanes={"lanes": [{"lane": 1, "owner": None, "owner_alive": False}]}), "lane-without-relay"),
        (relay(lanes={"lanes": [{"lane": 1, "owner": "r", "owner_alive": False}]}), "lane-without-relay"),
        (relay(held=({"subject": "o-1", "behind": ZERO, "reason": "refused"},)), "group-held"),
        (relay(outbox={"paused": {"by": "olga", "reason": "why"}, "replay": None, "oldest_pending_seconds": 900.0,
                       "pending": ZERO}), "outbox-paused"),
        (relay(outbox={"paused": None, "replay": None, "oldest_pending_seconds": 90.0, "pending": ZERO}),
         "outbox-late"),
        (relay(source=source("slot_missing")), "wal-slot-missing"),
        (relay(source=source("slot_lost"), checks=checks("source", "lost", required=False)), "wal-slot-lost"),
        (relay(source=source("slot_taken")), "wal-slot-taken"),
        (relay(source=source("slot_unsuitable")), "wal-unreadable"),
        (relay(source=source("publication_missing")), "wal-publication-missing"),
        (relay(source=source("wal_level")), "wal-unreadable"),
        (relay(source=source("refused")), "wal-unreadable"),
        (relay(source=source("unreachable")), "wal-unreadable"),
        (relay(source=source("behind")), "wal-behind"),
        (relay(source=source("streaming", pressure="the server keeps 3000 MiB")), "wal-kept"),
        (changed(relay(), topic=topic(exists=False, problem="gone")), "topic-missing"),
        (changed(relay(), publish_check=queue("check", exists=False)), "publish-check-missing"),
        (changed(relay(), publish_check=queue("check")), "policy-missing"),
        (changed(relay(), topic=topic(subscription("other"))), "subscription-missing"),
        (changed(relay(), topic=topic(problem="AccessDenied", subscriptions=None)), "no-details"),
        (changed(service(), queue=queue("q", exists=False)), "queue-missing"),
        (changed(service(), undelivered_queue=queue("u", exists=False)), "queue-missing"),
        (changed(service(), queue=queue("q", "another")), "policy-missing"),
        (changed(service(), queue=queue("q", "t", high_throughput=False)), "throughput-differs"),
        (changed(service(), topic=topic()), "subscription-missing"),
        (changed(service(), topic=topic(subscription("q", types=["order.shipped"]))), "filter-differs"),
        (changed(service(), topic=topic(subscription("q", types=None))), "filter-differs"),
        (changed(service(), topic=topic(subscription("q", undelivered_queue=None))), "undelivered-queue-missing"),
        (changed(service(), dead_letter_queue=queue("d", messages=3)), "queue-dead-letters"),
        (service(inbox={"dead": {"value": 2, "at_least": False}, "oldest_dead_at": "2026-01-01T00:00:00Z",
                        "first_overdue": None}), "dead-letters"),
        (service(inbox={"dead": ZERO, "overdue": {"value": 1, "at_least": False}, "first_overdue": {
            "event_id": "e", "message_group": "g", "due_at": "2026-01-01T00:00:00Z", "behind": None}}),
         "deferred-overdue"),
    ],
)  # fmt: skip
def test_one_change_is_one_problem(seen: Observed, code: str) -> None:
    assert codes(seen) == [(code, seen.name)]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("topology_prefix", "other-", "prefix-differs"),
        ("aws_region", "eu-west-1", "broker-differs"),
        ("aws_endpoint_url", "http://127.0.0.1:4566", "broker-differs"),
        ("version", "0.9", "version-differs"),
    ],
)
def test_the_process_that_differs_from_the_others_is_named(name: str, value: str, code: str) -> None:
    other = service(name="billing", process={**PROCESS, name: value})
    assert codes(other, service(), relay()) == [(code, "billing")]


def test_what_follows_from_another_problem_is_not_reported_twice() -> None:
    both = {
        **checks("database", "the database cannot be reached or refuses"),
        "migrations": {"ok": False, "required": True, "detail": "unknown while the database cannot be reached"},
    }
    assert codes(service(checks=both)) == [("database-unavailable", "notification")]
    failures = ("The database did not answer. (correlation id 1)", "The database did not answer. (correlation id 2)")
    assert codes(service(checks=both, failures=failures)) == [("database-unavailable", "notification")]
    missing = changed(relay(checks=checks("publish-check", "queue check does not exist; deploy the topology")))
    assert codes(changed(missing, publish_check=queue("check", exists=False))) == [
        ("publish-check-missing", "order-relay")
    ]


def test_an_outbox_without_a_declared_relay_is_judged_by_its_publisher() -> None:
    alone = service(checks=checks("outbox", "no relay is running for this outbox; 3 events wait", required=False))
    assert codes(alone) == [("relay-down", "notification-relay")]
    silent = relay(name="notification-relay", silence="connection refused")
    assert codes(alone, silent) == [("relay-down", "notification-relay")]
    assert codes(alone, relay(name="notification-relay")) == []  # the relay has just started
    late = service(checks=checks("outbox", "the oldest event waits 90 s", required=False))
    assert codes(late) == [("degraded", "notification")]


OVERDUE = {"event_id": "e", "message_group": "g", "due_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("code", KINDS)
def test_its_command_can_be_run_as_it_is(code: str) -> None:
    values = {"group": "o-1", "service": "order", "remedy": "", "command": ""}
    assert is_command(problem(code, "order-relay", "", **values).command)


@pytest.mark.parametrize("behind", [None, "d-1"])
def test_the_command_for_an_overdue_message_can_be_run_as_it_is(behind: str | None) -> None:
    inbox = {"dead": ZERO, "overdue": {"value": 1, "at_least": False}, "first_overdue": {**OVERDUE, "behind": behind}}
    (found,) = diagnose([service(inbox=inbox)])
    assert found.command
    assert is_command(found.command)


@pytest.mark.parametrize("error", ["EndpointConnectionError", "TimeoutError", "ReadTimeoutError"])
def test_a_broker_that_does_not_answer_is_one_problem_of_each_process(error: str) -> None:
    parts = ("queue", "dead_letter_queue", "undelivered_queue")
    described = {part: queue(part, problem=f"cannot read the attributes of queue {part}: {error}") for part in parts}
    silent = changed(service(), topic=None, **described)
    assert codes(silent) == [("broker-outage", "notification")]
    check = queue("check", problem=f"cannot find queue check: {error}")
    sender = changed(relay(), topic=topic(subscriptions=None, problem=f"cannot read: {error}"), publish_check=check)
    assert codes(sender) == [("broker-outage", "order-relay")]
    assert codes(replace(sender, checks=checks("broker", error))) == [("broker-outage", "order-relay")]
    refused = changed(service(), queue=queue("q", problem="cannot read the attributes of queue q: AccessDenied"))
    assert codes(refused) == [("no-details", "notification")]


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://127.0.0.1:4566", "--region us-east-1 --prefix p- --endpoint-url http://127.0.0.1:4566"),
        (None, "--region us-east-1 --prefix p-"),
        ("http://x$(shell id)", "--region us-east-1 --prefix p-"),
    ],
)
def test_the_topology_is_compared_in_the_broker_of_the_process(endpoint: str | None, expected: str) -> None:
    seen = changed(service(process={**PROCESS, "aws_endpoint_url": endpoint}), topic=topic())
    (found,) = diagnose([seen])
    assert found.command == f'make topology-check ARGS="{expected}"'


def is_command(line: str) -> bool:
    """Whether a shell can run a line: a command of event-trio is parsed with its options and arguments."""
    program, *words = shlex.split(line.removeprefix("export EVENT_TRIO_TOKEN=$(").removesuffix(")")) or ["make"]
    command = get_command(app)
    while program == "./event-trio" and isinstance(command, TyperGroup):
        name, *words = words
        command = command.commands[name]
    if program == "./event-trio":
        command.make_context(command.name, words)  # raises a usage error
    return program in {"./event-trio", "make", ".venv/bin/python"}


def test_errors_come_before_warnings() -> None:
    late = service(skew_seconds=9.0, silence=None, failures=("The key set cannot be read",))
    assert [each.kind.severity for each in diagnose([late])] == ["error", "warning"]
