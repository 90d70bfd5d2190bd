"""The AsyncAPI documents of the services, and validators for them and for the messages that they describe."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from tests.support.sources import ROOT
from tools.declared_services import load

META_SCHEMA = Path(__file__).with_name("asyncapi") / "3.0.0.json"
NAMES = [service.name for service in load()]


def document(name: str) -> dict[str, Any]:
    """The committed document of a service."""
    found: dict[str, Any] = json.loads((ROOT / "services" / name / "asyncapi.json").read_text(encoding="utf-8"))
    return found


def problems(found: dict[str, Any]) -> list[str]:
    """How a document violates the official schema of AsyncAPI 3.0, bindings included."""
    meta_schema = json.loads(META_SCHEMA.read_text(encoding="utf-8"))
    return [_described(problem) for problem in jsonschema.Draft7Validator(meta_schema).iter_errors(found)]


def message_problems(found: dict[str, Any], body: bytes | str, channel: str) -> list[str]:
    """Why a body is none of the messages of a channel, the nearest message first; empty if it is one."""
    alternatives = [
        [_described(problem) for problem in validator(found, name).iter_errors(json.loads(body))]
        for name in found["channels"][channel]["messages"]
    ]
    return min(alternatives, key=len)


def validator(found: dict[str, Any], message: str) -> jsonschema.Draft7Validator:
    """Validates the body of a message: the envelope with its payload."""
    schema = {**found["components"]["messages"][message]["payload"], "components": found["components"]}
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())


def references(value: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def target(found: dict[str, Any], reference: str) -> Any:
    """What a reference in a document refers to. Raises KeyError."""
    value: Any = found
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


def _described(problem: jsonschema.ValidationError) -> str:
    while problem.context:
        problem = max(problem.context, key=lambda inner: len(inner.absolute_path))
    return f"{'.'.join(map(str, problem.absolute_path))}: {problem.message[:200]}"
