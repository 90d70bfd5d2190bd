"""The event reference: every payload, its fields, who states it and who handles it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from services.notification.handlers import HANDLED
from services.notification.main import SOURCE as NOTIFICATION_SOURCE
from services.order.main import SOURCE as ORDER_SOURCE
from shared.contracts.notifications import NOTIFICATION_EVENTS
from shared.contracts.orders import ORDER_EVENTS
from shared.contracts.payload import EventPayload
from shared.topology import Topology

from .markdown import code, page, paragraph, table

INTRODUCTION = """
An event states what happened. Its payload is the `data` of the [envelope](wire-format.md); the models are in
`shared/contracts/`. A subscriber ignores fields that it does not know, so a field may be added without a new version;
anything else is a new major version, which is the last part of `dataschema`. Decimals are strings. The type is also
an SNS message attribute named `type`, which is what subscriptions filter by.
"""
# Personal data: in no log, metric or attribute, and in no other event.
PERSONAL = {("order.placed", "recipient")}


def render() -> str:
    """The page."""
    order = _publisher(ORDER_EVENTS, ORDER_SOURCE, "order-events", "the order's version")
    notification = _publisher(
        NOTIFICATION_EVENTS, NOTIFICATION_SOURCE, "notification-events", "a counter of these events per order"
    )
    return page("Events", INTRODUCTION, order, notification)


def types() -> set[str]:
    """Every event type."""
    return {payload.type for payload in (*ORDER_EVENTS, *NOTIFICATION_EVENTS)}


def _publisher(payloads: Sequence[type[EventPayload]], source: str, domain: str, sequence: str) -> str:
    facts = table(
        ("Source", "Topic", "Subject and message group", "Sequence"),
        [(code(source), code(Topology().topic(domain)), "the order's id", sequence)],
    )
    return "\n\n".join([f"## {code(source)}", facts, *(_event(payload) for payload in payloads)])


def _event(payload: type[EventPayload]) -> str:
    handled = "the notification service" if payload in HANDLED else "nobody yet"
    facts = f"{paragraph(payload.__doc__)} Version {payload.version}; handled by {handled}."
    schema = payload.model_json_schema(mode="serialization")
    rows = _fields(payload.type, schema, schema.get("$defs", {}), "")
    return f"### {code(payload.type)}\n\n{facts}\n\n{table(('Field', 'JSON', 'Note'), rows)}"


def _fields(
    event: str, schema: Mapping[str, Any], definitions: Mapping[str, Any], before: str
) -> list[tuple[str, str, str]]:
    rows = []
    for name, field in schema["properties"].items():
        path = f"{before}{name}"
        note = "personal data" if (event, path) in PERSONAL else ""
        rows.append((code(path), _json_type(field), note))
        item = field.get("items", {})
        if "$ref" in item:
            definition = definitions[item["$ref"].rpartition("/")[2]]
            rows += _fields(event, definition, definitions, f"{path}[].")
    return rows


def _json_type(field: Mapping[str, Any]) -> str:
    kind = field.get("type")
    if kind is None:
        raise ValueError(f"no words yet for a field like {json.dumps(field)}")
    if kind == "array":
        return "array of objects" if "$ref" in field["items"] else f"array of {field['items']['type']}s"
    return f"{kind}, {field['format'].upper()}" if "format" in field else str(kind)
