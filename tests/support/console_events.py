"""Recorded and processed events as the services' APIs answer."""

from typing import Any

import httpx

from tests.support.console import ScriptedSystem
from tests.support.console_answers import system

ORDER = "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10"
PLACED = "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e11"
FAILED = "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e12"
HELD = "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e13"
CORRELATION = "019aacb4-e9a8-70d1-8f35-0c9f2b7d4eff"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def recorded(id: str, type: str, sequence: int, **changed: Any) -> dict[str, Any]:
    """A published event of the order, recorded a second after the one before; it takes 40 ms to be published."""
    at = f"2026-11-26T08:00:{sequence:02d}"
    return {
        **{"event_id": id, "source": "/services/order", "subject": ORDER, "sequence": sequence, "type": type},
        **{"state": "published", "recorded_at": f"{at}.000+00:00"},
        **{"first_sent_at": f"{at}.010+00:00", "sent_at": f"{at}.010+00:00"},
        **{"first_published_at": f"{at}.040+00:00", "published_at": f"{at}.040+00:00"},
        **{"held_at": None, "held_reason": None, "held_behind": None},
        **{"attempts": 0, "republished": 0, "last_error": None},
        **{"correlation_id": CORRELATION, "causation_id": None, "trace_id": TRACE},
        **changed,
    }


def processed(id: str, type: str, consumer: str, outcome: str, at: str, **changed: Any) -> dict[str, Any]:
    """A row of an inbox."""
    return {
        **{"consumer": consumer, "event_id": id, "message_id": f"m-{id}", "source": "/services/order"},
        **{"subject": ORDER, "sequence": 1, "type": type, "time": "2026-11-26T08:00:01+00:00"},
        **{"processed_at": at, "outcome": outcome, "deferred": None},
        **changed,
    }


def page(*items: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    """A page of a list."""
    return {"items": list(items), "next_cursor": cursor}


def shop() -> ScriptedSystem:
    """An order whose customer could not be notified, and that was held for it."""
    orders = [
        recorded(HELD, "order.held", 3, causation_id=FAILED),
        recorded(PLACED, "order.placed", 1),
    ]
    failures = [recorded(FAILED, "notification.failed", 2, source="/services/notification", causation_id=PLACED)]
    lists = {"order": orders, "notification": failures}

    def events(service: str) -> Any:
        def answer(request: httpx.Request) -> httpx.Response:
            asked = request.url.params
            names = [name for name in ("subject", "correlation_id", "trace_id", "type") if name in asked]
            matching = [event for event in lists[service] if all(event[name] == asked[name] for name in names)]
            return httpx.Response(200, json=page(*matching))

        return answer

    failed = processed(PLACED, "order.placed", "notification", "failure_published", "2026-11-26T08:00:01.500+00:00")
    handled = processed(FAILED, "notification.failed", "order", "handled", "2026-11-26T08:00:02.500+00:00")
    nothing = page()

    def of_order(row: dict[str, Any]) -> Any:
        return lambda request: page(row) if request.url.params["subject"] == ORDER else nothing

    return system(
        **{
            "order/v1/recorded-events": events("order"),
            "notification/v1/recorded-events": events("notification"),
            "order/v1/processed-messages": of_order(handled),
            "notification/v1/processed-messages": of_order(failed),
            **{f"{service}/v1/operator-actions": nothing for service in lists},
            "order-relay/v1/outbox/audit": nothing,
            f"order/v1/events/{PLACED}": {"event_id": PLACED, "recorded": orders[1], "processed": None},
        }
    )
