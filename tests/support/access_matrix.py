"""Who may call each operation of the REST APIs, and what they get. The OpenAPI documents are compared with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.order_service import ORDER

REASON = {"reason": "because"}
UNKNOWN = "00000000-0000-7000-8000-000000000001"
ROLES = {"owner": "customer", "operator": "operator", "service": "service", "reader": "reader"}
"""The role of each caller that has one; `other` is a customer, too, to whom nothing belongs."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The roles that are admitted to an operation, and its answer to them."""

    roles: str
    status: int = 200
    body: Mapping[str, Any] | None = None
    foreign: int = 404
    """The answer to a customer who asks for what belongs to another, where customers are admitted."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Of parameters of the path, instead of those of the service."""
    query: Mapping[str, str] = field(default_factory=dict)

    def expected(self, caller: str) -> int:
        """The status of the answer to this caller."""
        if caller in ("nobody", "forged"):
            return 401
        admitted = self.roles.split()
        if caller == "other":
            return self.foreign if "customer" in admitted else 403
        return self.status if ROLES.get(caller) in admitted else 403

    def is_refused(self, caller: str) -> bool:
        """Whether the caller gets nothing, and changes nothing."""
        return self.expected(caller) in (401, 403) or (caller == "other" and self.expected(caller) == 404)


BUYERS = "customer operator service"
INSPECTORS = "reader operator service"
CONSUMER = {
    "GET /v1/events/{event_id}": Operation(INSPECTORS),
    "GET /v1/events/{event_id}/envelope": Operation("operator", 404, values={"event_id": UNKNOWN}),
    "POST /v1/events/{event_id}/reveals": Operation("operator", 404, REASON, values={"event_id": UNKNOWN}),
    "GET /v1/recorded-events": Operation(INSPECTORS),
    "GET /v1/processed-messages": Operation(INSPECTORS),
    "GET /v1/inbox": Operation(INSPECTORS),
    "GET /v1/topology": Operation(INSPECTORS),
    "GET /v1/process": Operation("reader operator"),
    "GET /v1/failures": Operation(INSPECTORS),
    "GET /v1/operator-actions": Operation(INSPECTORS),
    "GET /v1/message-states": Operation(INSPECTORS, query={"event_id": "e-1"}),
    "GET /v1/dead-letters": Operation(INSPECTORS),
    "GET /v1/dead-letters/{event_id}": Operation("operator"),
    "POST /v1/dead-letters/{event_id}/reveals": Operation("operator", body=REASON),
    "POST /v1/deferred-messages/{event_id}/reveals": Operation("operator", body=REASON, values={"event_id": "c-2"}),
    "POST /v1/dead-letters/redrive": Operation("operator", body={"event_id": "e-2", **REASON}),
    "POST /v1/dead-letters/discard": Operation("operator", body={"event_id": "e-3", **REASON}),
    "GET /v1/deferred-messages": Operation(INSPECTORS),
    "GET /v1/deferred-messages/{event_id}": Operation("operator", values={"event_id": "a-1"}),
    "POST /v1/deferred-messages/run": Operation("operator", body={"event_id": "b-1", **REASON}),
    "POST /v1/deferred-messages/discard": Operation("operator", body={"event_id": "a-1", **REASON}),
    "GET /v1/redrives": Operation(INSPECTORS),
    "POST /v1/redrives": Operation("operator", 202, {"all": True, **REASON}),
    "GET /v1/redrives/{id}": Operation(INSPECTORS),
    "POST /v1/redrives/{id}/stop": Operation("operator", 404, REASON, values={"id": "999"}),
}
"""Of every service that publishes and consumes."""
ORDERS = {
    "POST /v1/orders": Operation("customer operator", 201, ORDER, foreign=403),
    "GET /v1/orders": Operation(BUYERS, foreign=200),
    "GET /v1/orders/{order_id}": Operation(BUYERS),
    "GET /v1/orders/{order_id}/events": Operation(BUYERS),
    "GET /v1/orders/{order_id}/events/{sequence}": Operation(BUYERS),
    "GET /v1/orders/{order_id}/reports": Operation(BUYERS),
    "POST /v1/orders/{order_id}/cancel": Operation(BUYERS, body=REASON),
    "POST /v1/orders/{order_id}/confirm": Operation("operator service"),
    "POST /v1/orders/{order_id}/ship": Operation("operator service", 409),
    "POST /v1/orders/{order_id}/deliver": Operation("operator service", 409),
    "POST /v1/orders/{order_id}/hold": Operation("operator service", body=REASON),
    "POST /v1/orders/{order_id}/release": Operation("operator service", 409),
    **CONSUMER,
}
NOTIFICATIONS = {
    "GET /v1/notifications": Operation(BUYERS, foreign=200),
    "GET /v1/notifications/{notification_id}": Operation(BUYERS),
    **CONSUMER,
}
RELAY = {
    "GET /v1/outbox": Operation("reader operator"),
    "GET /v1/outbox/lanes": Operation("reader operator"),
    "GET /v1/outbox/topology": Operation("reader operator"),
    "GET /v1/outbox/source": Operation("reader operator"),
    "GET /v1/outbox/held-groups": Operation("reader operator"),
    "GET /v1/outbox/groups/{subject}": Operation("reader operator", 404),
    "GET /v1/outbox/events/{event_id}": Operation("reader operator", 404),
    "GET /v1/outbox/replays/{id}": Operation("reader operator", 404),
    "GET /v1/outbox/audit": Operation("reader operator"),
    "GET /v1/process": Operation("reader operator"),
    "POST /v1/outbox/groups/{subject}/hold": Operation("operator", body=REASON),
    "POST /v1/outbox/groups/{subject}/release": Operation("operator", 202, REASON),
    "POST /v1/outbox/events/{event_id}/discard": Operation("operator", 404, REASON),
    "POST /v1/outbox/replays": Operation("operator", body={"everything": True}),
    "POST /v1/outbox/replays/{id}/cancel": Operation("operator", 404, REASON),
    "POST /v1/outbox/pause": Operation("operator", body=REASON),
    "POST /v1/outbox/resume": Operation("operator", body=REASON),
    "POST /v1/outbox/broker/accept": Operation("operator", 409, REASON),
}
