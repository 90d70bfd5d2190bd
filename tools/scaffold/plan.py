"""What a new service is to be: checked before a file is written."""

from __future__ import annotations

import importlib
import keyword
import pkgutil
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from event_trio import contracts
from event_trio.contracts.payload import EventPayload
from event_trio.errors import EventTrioError
from event_trio.settings import suggest
from infra.manifest import TemplateKind
from infra.manifest import load as load_templates

NAME = re.compile(r"[a-z][a-z0-9]{1,19}")
TYPE = re.compile(r"[a-z][a-z0-9]*\.[a-z][a-z0-9_]*")
PORT = re.compile(r"127\.0\.0\.1:\$\{\w+:-(\d+)\}")
# Names that mean something else already: databases that every server has; folders, packages and schemas of the project.
RESERVED = frozenset(
    {
        *("postgres", "public", "template0", "template1", "test"),
        *("benchmarks", "docs", "infra", "relay", "service", "services", "shared", "tests", "tools"),
        *("consumer", "contracts", "inbox", "main", "outbox"),
    }
)
DATABASE = re.compile(r"^CREATE DATABASE (\w+);", re.MULTILINE)


class ScaffoldRefused(EventTrioError):
    """A service like that cannot be written."""


@dataclass(frozen=True, slots=True)
class EventModel:
    """An event type and the payload model that stands for it; the sample is a payload that the model takes."""

    type: str
    module: str
    classname: str
    sample: object = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A service that can be written."""

    name: str
    events: tuple[EventModel, ...]
    topic: str
    published: tuple[EventModel, ...]
    port: int

    @property
    def classname(self) -> str:
        """What its classes are called after."""
        return self.name.capitalize()

    @property
    def publishes(self) -> str | None:
        """The domain that it publishes, if it does."""
        return f"{self.name}-events" if self.published else None


def plan(root: Path, name: str, events: Sequence[str], publishes: Sequence[str] = ()) -> Plan:
    """Check what is asked for against what is there. Raises ScaffoldRefused."""
    _ensure_possible(root, name)
    if not events:
        raise ScaffoldRefused("EVENTS is empty: name at least one event type, such as order.placed")
    known = _known()
    for event in events:
        if event not in known:
            raise ScaffoldRefused(f"EVENTS names {event!r}, which nobody publishes; {suggest(event, list(known))}")
    topics = {f"{event.partition('.')[0]}-events" for event in events}
    declared = {template.topic for template in load_templates() if template.kind is TemplateKind.TOPIC}
    if len(topics) != 1 or not topics <= declared:
        raise ScaffoldRefused(f"EVENTS are of the topics {', '.join(sorted(topics))}: one that exists is possible")
    published = tuple(_published(name, event) for event in dict.fromkeys(publishes))
    _ensure_apart(published)
    return Plan(
        name,
        tuple(known[event] for event in dict.fromkeys(events)),
        topics.pop(),
        published,
        _free_port(root),
    )


def _ensure_possible(root: Path, name: str) -> None:
    """Raise ScaffoldRefused where the name cannot stand in Python, in SQL and beside the names that are there."""
    if not NAME.fullmatch(name):
        raise ScaffoldRefused(f"NAME {name!r} is not possible: 2 to 20 small letters and digits, a letter first")
    if keyword.iskeyword(name) or name in RESERVED_WORDS or name in RESERVED:
        raise ScaffoldRefused(f"NAME {name!r} is not possible: Python, Postgres or the project reserves that word")
    if (root / "services" / name).exists():
        raise ScaffoldRefused(f"services/{name} is there already")
    if name in DATABASE.findall((root / "infra/postgres/databases.sql").read_text(encoding="utf-8")):
        raise ScaffoldRefused(f"NAME {name!r} is not possible: there is a database of that name already")
    containers = yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for taken in (name, f"{name}-migrate", f"{name}-relay"):
        if taken in containers:
            raise ScaffoldRefused(f"NAME {name!r} is not possible: docker-compose.yml has a service {taken} already")


def _published(name: str, event: str) -> EventModel:
    if not TYPE.fullmatch(event) or event.partition(".")[0] != name:
        raise ScaffoldRefused(f"PUBLISHES {event!r} is not possible: it has to be like {name}.done")
    if _classname(event) == f"{name.capitalize()}Event":
        raise ScaffoldRefused(
            f"PUBLISHES {event!r} is not possible: its class is the base of the others; say what happened"
        )
    return EventModel(event, name, _classname(event))


def _ensure_apart(published: Sequence[EventModel]) -> None:
    """Raise ScaffoldRefused where two types would have one class."""
    types: dict[str, str] = {}
    for event in published:
        if (other := types.setdefault(event.classname, event.type)) != event.type:
            raise ScaffoldRefused(
                f"PUBLISHES {other!r} and {event.type!r} cannot both be: their class is {event.classname}"
            )


def _known() -> dict[str, EventModel]:
    """Every event type that a contract declares."""
    found = {}
    for module in pkgutil.iter_modules(contracts.__path__):
        for value in vars(importlib.import_module(f"{contracts.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, EventPayload) and "type" in vars(value):
                schema = value.model_json_schema(mode="serialization")
                sample = _sample(schema, schema.get("$defs", {}))
                found[value.type] = EventModel(value.type, module.name, value.__name__, sample)
    return found


def _sample(schema: dict[str, Any], definitions: dict[str, Any]) -> object:
    """A value that fits a schema: the first of everything."""
    if "$ref" in schema:
        return _sample(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return _sample(schema["anyOf"][0], definitions)
    match schema.get("type"):
        case "object":
            return {name: _sample(field, definitions) for name, field in schema.get("properties", {}).items()}
        case "array":
            return [_sample(schema["items"], definitions)]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
    samples = {"uuid": "018f0000-0000-7000-8000-000000000000", "date-time": "2026-01-01T00:00:00Z"}
    return samples.get(schema.get("format", ""), "1")


def _classname(event: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"[._]", event))


def _free_port(root: Path) -> int:
    taken = PORT.findall((root / "docker-compose.yml").read_text(encoding="utf-8"))
    return max((int(port) for port in taken if int(port) < 9000), default=7999) + 1
