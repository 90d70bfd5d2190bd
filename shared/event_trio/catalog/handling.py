"""How a consumer handles each event: failure policy, timeout, and what it does with stale events."""

from __future__ import annotations

from typing import Any

from ..consumer.policy_text import policy_text
from ..consumer.router import Router
from ..contracts.payload import EventPayload


def message_name(payload: type[EventPayload]) -> str:
    """The name of a message in an AsyncAPI document: `order.placed.1`."""
    return f"{payload.type}.{payload.version}"


def handling(router: Router) -> dict[str, Any]:
    """By the name of each message: the policy that is in force and the other options of its handler."""
    return {
        message_name(route.payload): {
            "failure_policy": policy_text(route.policy),
            "timeout_seconds": route.timeout,
            "stale": route.stale.value,
        }
        for route in router.routes
    }
