"""The JSON Schema and the example of an event's payload, which are derived from its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .payload import EventPayload

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS_URL = "https://schemas.example.com"
"""With what `dataschema` begins unless a service knows its own URL: an identifier, at which nothing is served."""
EXTENSION = "x-event"
"""The keyword with what the event declares beside the fields of its payload."""


class IncompleteDeclaration(ValueError):
    """An event does not declare everything that the catalog shows of it."""


def schema_path(payload: type[EventPayload]) -> str:
    """The end of `dataschema`: the type and the major version."""
    return f"{payload.type}/{payload.version}"


def json_schema(payload: type[EventPayload], schemas_url: str = SCHEMAS_URL) -> dict[str, Any]:
    """The JSON Schema (2020-12) of `data`; `schemas_url` is the URL with which its `$id` begins.

    It accepts fields that it does not know. A field with a default may be absent, because events of earlier releases
    do not have it. Raises IncompleteDeclaration if a field has no example.
    """
    found = payload.model_json_schema(mode="serialization")
    schema: dict[str, Any] = {
        "$schema": DIALECT,
        "$id": f"{schemas_url.rstrip('/')}/{schema_path(payload)}",
        "title": payload.type,
        "description": " ".join((payload.__doc__ or "").split()),
        **({"deprecated": True} if payload.deprecated else {}),
        EXTENSION: {
            "type": payload.type,
            "version": payload.version,
            "owner": payload.owner,
            "payload_mode": str(payload.payload_mode),
        },
        **{key: value for key, value in found.items() if key not in ("title", "description")},
    }
    return {**schema, "examples": [example(payload)]}


def example(payload: type[EventPayload]) -> dict[str, Any]:
    """The `data` of an example, made of the first example of each field. Raises IncompleteDeclaration.

    A test ensures that the model accepts it.
    """
    found = payload.model_json_schema(mode="serialization")
    data: dict[str, Any] = _value(found, found.get("$defs", {}), payload.type)
    return data


def _value(schema: Mapping[str, Any], definitions: Mapping[str, Any], path: str) -> Any:
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return _value(definitions[schema["$ref"].rpartition("/")[2]], definitions, path)
    if "properties" in schema:
        fields = schema["properties"].items()
        return {name: _value(field, definitions, f"{path}.{name}") for name, field in fields}
    if "items" in schema:
        return [_value(schema["items"], definitions, f"{path}[]")]
    if "default" in schema:
        return schema["default"]
    if schema.get("type") == "object":
        return {}
    raise IncompleteDeclaration(f"{path} has no example: add Field(description=..., examples=[...])")
