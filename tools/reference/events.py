"""The event reference: every payload with its fields, publisher and handlers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from event_trio.broker.names import BrokerNames
from event_trio.contracts.payload import PERSONAL, EventPayload
from tools.reference.discovery import classes, modules
from tools.reference.markdown import code, page, paragraph, table

INTRODUCTION = """
The payload of an event is the `data` of the [envelope](wire-format.md). The models are in
`shared/event_trio/contracts/`, and each has a JSON Schema in `docs/reference/schemas/`. A subscriber ignores unknown
fields, so an optional field may be added without a new version. Any other change of the fields requires a new major
version, which is the last part of `dataschema` ([Change an event](../how-to/change-an-event.md)). Decimals are strings.
The type is also the SNS message attribute `type`, by which subscriptions filter. The [catalog](catalog.md) shows who
publishes and who handles each event, through which topics and queues.
"""
# What the sequence of a publisher counts, unless it counts its events per subject.
SEQUENCES = {"order": "the order's version"}


def render() -> str:
    """The page."""
    publishers: dict[str, list[type[EventPayload]]] = {}
    for payload in _payloads():
        publishers.setdefault(payload.type.partition(".")[0], []).append(payload)
    parts = [
        _publisher(name, publishers[name]) for name in sorted(publishers, key=lambda name: (name != "order", name))
    ]
    return page("Events", INTRODUCTION, *parts)


def types() -> set[str]:
    """Every event type."""
    return {payload.type for payload in _payloads()}


def _payloads() -> list[type[EventPayload]]:
    return classes(lambda found: issubclass(found, EventPayload) and "type" in vars(found))


def _handlers(payload: type[EventPayload]) -> str:
    """The services that have a handler for the payload."""
    handlers = [module for module in modules() if module.__name__.startswith("services.") and _is_for_handlers(module)]
    names = [module.__name__.split(".")[1] for module in handlers if payload in vars(module).values()]
    return " and ".join(f"the {name} service" for name in names) or "no service yet"


def _is_for_handlers(module: ModuleType) -> bool:
    return module.__name__.endswith(".handlers")


def _publisher(name: str, payloads: Sequence[type[EventPayload]]) -> str:
    source, domain = f"/services/{name}", f"{name}-events"
    sequence = SEQUENCES.get(name, "a counter of these events per subject")
    facts = table(
        ("Source", "Topic", "Subject and message group", "Sequence"),
        [(code(source), code(BrokerNames().topic(domain)), "the order's id", sequence)],
    )
    return "\n\n".join([f"## {code(source)}", facts, *(_event(payload) for payload in payloads)])


def _event(payload: type[EventPayload]) -> str:
    facts = f"{paragraph(payload.__doc__)} Version {payload.version}; handled by {_handlers(payload)}."
    schema = payload.model_json_schema(mode="serialization")
    rows = _fields(schema, schema.get("$defs", {}), "")
    return f"### {code(payload.type)}\n\n{facts}\n\n{table(('Field', 'JSON', 'Meaning'), rows)}"


def _fields(schema: Mapping[str, Any], definitions: Mapping[str, Any], before: str) -> list[tuple[str, str, str]]:
    rows = []
    for name, field in schema["properties"].items():
        path = f"{before}{name}"
        meaning = str(field.get("description", ""))
        rows.append((code(path), _json_type(field), f"{meaning} Personal data." if field.get(PERSONAL) else meaning))
        item = field.get("items", {})
        if "$ref" in item:
            definition = definitions[item["$ref"].rpartition("/")[2]]
            rows += _fields(definition, definitions, f"{path}[].")
    return rows


def _json_type(field: Mapping[str, Any]) -> str:
    kind = field.get("type")
    if kind is None:
        raise ValueError(f"the reference cannot describe a field like {json.dumps(field)}")
    if kind == "array":
        return "array of objects" if "$ref" in field["items"] else f"array of {field['items']['type']}s"
    return f"{kind}, {field['format'].upper()}" if "format" in field else str(kind)
