"""The plan of a new service, which is validated before a file is written."""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from event_trio.contracts.schema import example
from event_trio.errors import EventTrioError
from event_trio.settings import suggest
from infra.manifest import TemplateKind
from infra.manifest import load as load_templates
from tools.catalog.contracts import declared_events

NAME = re.compile(r"[a-z][a-z0-9]{1,19}")
TYPE = re.compile(r"[a-z][a-z0-9]*\.[a-z][a-z0-9_]*")
PORT = re.compile(r"127\.0\.0\.1:\$\{\w+:-(\d+)\}")
# Names with another meaning: databases of every server; folders, packages and schemas of the project.
RESERVED = frozenset(
    {
        *("postgres", "public", "template0", "template1", "test"),
        *("benchmarks", "comparisons", "docs", "infra", "relay", "service", "services", "shared", "tests", "tools"),
        *("consumer", "contracts", "inbox", "main", "outbox"),
    }
)
DATABASE = re.compile(r"^CREATE DATABASE (\w+);", re.MULTILINE)


class ScaffoldRefused(EventTrioError):
    """The requested service cannot be generated."""


@dataclass(frozen=True, slots=True)
class EventModel:
    """An event type and its payload model; the sample is a payload that the model accepts."""

    type: str
    module: str
    classname: str
    sample: object = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A service that can be generated."""

    name: str
    events: tuple[EventModel, ...]
    topic: str
    published: tuple[EventModel, ...]
    port: int

    @property
    def classname(self) -> str:
        """The prefix of the names of its classes."""
        return self.name.capitalize()

    @property
    def publishes(self) -> str | None:
        """The domain of its events; None when it publishes none."""
        return f"{self.name}-events" if self.published else None


def plan(root: Path, name: str, events: Sequence[str], publishes: Sequence[str] = ()) -> Plan:
    """Validate the request. Raises ScaffoldRefused."""
    _ensure_valid_name(root, name)
    if not events:
        raise ScaffoldRefused("EVENTS is empty: name at least one event type, such as order.placed")
    known = _known_events()
    for event in events:
        if event not in known:
            raise ScaffoldRefused(f"EVENTS contains the unknown {event!r}; {suggest(event, list(known))}")
    topics = {f"{event.partition('.')[0]}-events" for event in events}
    declared = {template.topic for template in load_templates() if template.kind is TemplateKind.TOPIC}
    if len(topics) != 1 or not topics <= declared:
        raise ScaffoldRefused(f"EVENTS belong to {', '.join(sorted(topics))}, not to one existing topic")
    published = tuple(_published(name, event) for event in dict.fromkeys(publishes))
    _ensure_distinct_classes(published)
    return Plan(
        name,
        tuple(known[event] for event in dict.fromkeys(events)),
        topics.pop(),
        published,
        _free_port(root),
    )


def _ensure_valid_name(root: Path, name: str) -> None:
    """Raises ScaffoldRefused for a name that is invalid in Python or SQL, or that exists already."""
    if not NAME.fullmatch(name):
        raise ScaffoldRefused(f"invalid NAME {name!r}: 2 to 20 lowercase letters and digits, starting with a letter")
    if keyword.iskeyword(name) or name in RESERVED_WORDS or name in RESERVED:
        raise ScaffoldRefused(f"invalid NAME {name!r}: it is a reserved word of Python, Postgres or the project")
    if (root / "services" / name).exists():
        raise ScaffoldRefused(f"services/{name} exists already")
    if name in DATABASE.findall((root / "infra/postgres/databases.sql").read_text(encoding="utf-8")):
        raise ScaffoldRefused(f"invalid NAME {name!r}: a database with this name exists already")
    containers = yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for taken in (name, f"{name}-migrate", f"{name}-relay"):
        if taken in containers:
            raise ScaffoldRefused(f"invalid NAME {name!r}: docker-compose.yml contains a service {taken}")


def _published(name: str, event: str) -> EventModel:
    if not TYPE.fullmatch(event) or event.partition(".")[0] != name:
        raise ScaffoldRefused(f"invalid PUBLISHES {event!r}: the form is {name}.done")
    if _classname(event) == f"{name.capitalize()}Event":
        raise ScaffoldRefused(
            f"invalid PUBLISHES {event!r}: its class would be the base class of the events; name what happened"
        )
    return EventModel(event, name, _classname(event))


def _ensure_distinct_classes(published: Sequence[EventModel]) -> None:
    """Raises ScaffoldRefused when two types would have the same class."""
    types: dict[str, str] = {}
    for event in published:
        if (other := types.setdefault(event.classname, event.type)) != event.type:
            raise ScaffoldRefused(
                f"invalid PUBLISHES: {other!r} and {event.type!r} would both have the class {event.classname}"
            )


def _known_events() -> dict[str, EventModel]:
    """Every event type of the contracts."""
    return {
        event.type: EventModel(event.type, event.__module__.rpartition(".")[2], event.__name__, example(event))
        for event in declared_events()
    }


def _classname(event: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"[._]", event))


def _free_port(root: Path) -> int:
    """The first port after which the next one is free, too, for the relay."""
    taken = {int(port) for port in PORT.findall((root / "docker-compose.yml").read_text(encoding="utf-8"))}
    return next(port for port in itertools.count(8000) if not taken & {port, port + 1})
