"""Answers of services and relays as the console reads them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.console import Answer, ScriptedSystem

ROOT = Path(__file__).parents[2]
NONE = {"value": 0, "at_least": False}
POLICY = "retry(attempts=8, delay=2, unit=minutes, backoff=3, rest=wait) then dead_letter"
AT = "2026-11-26T08:00:00+00:00"


def count(value: int, *, at_least: bool = False) -> dict[str, Any]:
    """A bounded count."""
    return {"value": value, "at_least": at_least}


def ready(status: str = "ready", **failing: str) -> dict[str, Any]:
    """A readiness page with these failing checks."""
    checks = {name: {"ok": False, "required": True, "detail": detail} for name, detail in failing.items()}
    return {"status": status, "checks": {"loops": {"ok": True, "required": True, "detail": None}, **checks}}


def outbox(**changed: Any) -> dict[str, Any]:
    """The state of an outbox in which nothing waits."""
    empty = {"pending": NONE, "unconfirmed": NONE, "held_groups": NONE, "oldest_pending_seconds": None}
    return {"database_time": AT, **empty, "relays": 1, "paused": None, "replay": None, **changed}


def inbox(**changed: Any) -> dict[str, Any]:
    """The state of an inbox in which nothing waits."""
    names = ("waiting", "blocked", "dead", "overdue")
    return {
        "database_time": AT,
        **dict.fromkeys(names, NONE),
        "oldest_dead_at": None,
        "first_overdue": None,
        **changed,
    }


def queue(name: str, **changed: Any) -> dict[str, Any]:
    """A queue that exists."""
    return {"name": name, "exists": True, "problem": None, "messages": 0, "in_flight": 0, **changed}


def system(**changed: Answer) -> ScriptedSystem:
    """The order service, its relay and the notification service; `changed` are other answers by path."""
    answers: dict[str, Answer] = {}
    for service in ("order", "notification"):
        document = json.loads((ROOT / f"services/{service}/asyncapi.json").read_text(encoding="utf-8"))
        answers |= {
            f"{service}/readyz": ready(),
            f"{service}/v1/inbox": inbox(),
            f"{service}/v1/topology": topology(service),
            f"{service}/asyncapi.json": document,
        }
    answers |= {
        "order-relay/readyz": ready(),
        "order-relay/v1/outbox": outbox(),
        "order-relay/v1/outbox/lanes": {"relays": [], "lanes": []},
    }
    return ScriptedSystem({**answers, **changed})


def topology(service: str) -> Mapping[str, Any]:
    """The queue of a consumer and its subscription."""
    return {
        "topic": {"name": "t", "exists": True, "problem": None, "subscriptions": [{"queue": "q"}]},
        "queue": queue(f"{service}.fifo"),
        "dead_letter_queue": queue(f"{service}-dlq.fifo"),
        "undelivered_queue": queue(f"{service}-undelivered.fifo"),
        "handles": [{"type": "order.placed", "failure_policy": POLICY}],
    }
