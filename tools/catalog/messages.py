"""The messages of an AsyncAPI document: the envelope of each event with its payload, and an example."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from event_trio.catalog.handling import message_name
from event_trio.contracts.payload import EventPayload, PayloadMode
from event_trio.contracts.schema import EXTENSION, SCHEMAS_URL, json_schema, schema_path
from event_trio.envelope import Envelope, sequence_text

CONTENT_TYPE = "application/cloudevents+json"
ENVELOPE = "Envelope"
SCHEMAS = "#/components/schemas/"
# Keywords of a document of its own, which a schema inside another document does not have.
ALONE = ("$schema", "$id", "$defs")


def source(owner: str) -> str:
    """The attribute `source` of the events of a service."""
    return f"/services/{owner}"


def messages(events: Sequence[type[EventPayload]]) -> dict[str, Any]:
    """The message of each event, by its name."""
    return {message_name(event): _message(event) for event in events}


def schemas(events: Sequence[type[EventPayload]]) -> dict[str, Any]:
    """The schemas to which the messages refer, by name."""
    envelope = Envelope.model_json_schema(mode="serialization")
    found: dict[str, Any] = {ENVELOPE: {**envelope, "description": "A CloudEvents 1.0 event in structured JSON."}}
    for event in events:
        name = message_name(event)
        schema = json_schema(event)
        definitions = schema.get("$defs", {})
        references = {f"#/$defs/{key}": f"{SCHEMAS}{name}.{key}" for key in definitions}
        parts = {key: value for key, value in schema.items() if key not in ALONE}
        found[name] = _with_references(parts, references)
        for key, definition in definitions.items():
            found[f"{name}.{key}"] = _with_references(definition, references)
    return found


def example_envelope(event: type[EventPayload]) -> Envelope:
    """An example of an event as it is sent."""
    data = json_schema(event)["examples"][0]
    subject = str(data.get("order_id", "019aacb4-e9a8-70d1-8f35-0c9f2b7d4e10"))
    return Envelope.model_validate(
        {
            "id": "019aacb5-2f10-7c3e-9a51-6b0f3d1e8a77",
            "source": source(event.owner),
            "type": event.type,
            "subject": subject,
            "time": "2026-11-22T10:15:30.123456Z",
            "dataschema": f"{SCHEMAS_URL}/{schema_path(event)}",
            "partitionkey": subject,
            "sequence": sequence_text(1),
            "correlationid": "checkout-42",
            "data": data,
        }
    )


def _message(event: type[EventPayload]) -> dict[str, Any]:
    name = message_name(event)
    refers = event.payload_mode is PayloadMode.DATA_OR_DATAREF
    return {
        "name": event.type,
        "title": f"{event.type}, version {event.version}",
        "summary": json_schema(event)["description"],
        "contentType": CONTENT_TYPE,
        "correlationId": {"location": "$message.payload#/correlationid"},
        # With raw delivery, the message attributes of the queue are those of the topic.
        "headers": {"type": "object", "properties": {"type": {"const": event.type}}, "required": ["type"]},
        "payload": {
            "allOf": [{"$ref": f"{SCHEMAS}{ENVELOPE}"}],
            "properties": {
                "source": {"const": source(event.owner)},
                "type": {"const": event.type},
                "dataschema": {"pattern": f"/{re.escape(event.type)}/{event.version}$"},
                "data": {"$ref": f"{SCHEMAS}{name}"},
            },
            **({"anyOf": [{"required": ["data"]}, {"required": ["dataref"]}]} if refers else {"required": ["data"]}),
        },
        "examples": [
            {
                "name": event.type,
                "headers": {"type": event.type},
                "payload": json.loads(example_envelope(event).to_bytes()),
            }
        ],
        **({"x-deprecated": True} if event.deprecated else {}),
        EXTENSION: json_schema(event)[EXTENSION],
    }


def _with_references(value: Any, references: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_with_references(item, references) for item in value]
    if isinstance(value, dict):
        return {
            key: references[item] if key == "$ref" and item in references else _with_references(item, references)
            for key, item in value.items()
        }
    return value
