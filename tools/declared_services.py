"""Reads the declarations of services, `services/<name>/service.toml`, for the demo and `event-trio`.

It imports little, because every command of `event-trio` imports it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from event_trio.errors import ConfigurationError

SERVICES = Path(__file__).parents[1] / "services"
FILE = "service.toml"
DATABASE = re.compile(r"[a-z][a-z0-9_]*")
TOPIC = re.compile(r"[a-z0-9-]{1,60}")
PORTS = range(1, 65536)


@dataclass(frozen=True)
class DeclaredService:
    """How a service is run. Its database roles are `<name>_api` and, with a relay, `<name>_relay`."""

    name: str
    port: int
    database: str
    publishes: str | None = None
    """The domain of its events, such as `order-events`, which a relay publishes."""
    relay_port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Additional settings; `{name}` stands for the URL of a service."""


def load(folder: Path = SERVICES) -> tuple[DeclaredService, ...]:
    """Every declared service, in the order of the ports.

    Raises ConfigurationError, naming the file and the error, when a declaration is invalid.
    """
    found = [_read(path) for path in folder.glob(f"*/{FILE}")]
    return tuple(sorted(found, key=lambda service: service.port))


def _read(path: Path) -> DeclaredService:
    try:
        declared: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        problem = next(_errors(declared), None)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problem = str(error)
    if problem is not None:
        raise ConfigurationError(f"{path.parent.name}/{FILE} is invalid: {problem}")
    return DeclaredService(name=path.parent.name, **declared)


def _errors(declared: Mapping[str, Any]) -> Iterator[str]:
    """The errors of a declaration."""
    known = {each.name for each in fields(DeclaredService)} - {"name"}
    for name in sorted(set(declared) - known):
        yield f"{name} is unknown; known names: {', '.join(sorted(known))}"
    for name in ("port", "relay_port"):
        port = declared.get(name)
        if (port is not None or name == "port") and (type(port) is not int or port not in PORTS):
            yield f"{name} must be a port number from 1 to 65535"
    database, topic = declared.get("database"), declared.get("publishes")
    if not isinstance(database, str) or not DATABASE.fullmatch(database):
        yield "database must be a name of lowercase letters, digits and underscores"
    if topic is not None and not (isinstance(topic, str) and TOPIC.fullmatch(topic)):
        yield "publishes must be the domain of its events, such as order-events"
    if (topic is None) != (declared.get("relay_port") is None):
        yield "publishes and relay_port must be given together: a relay publishes the events"
    environment = declared.get("environment", {})
    if not isinstance(environment, dict) or not all(isinstance(value, str) for value in environment.values()):
        yield "environment must be a table of strings"
