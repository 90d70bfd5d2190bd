"""The services that the project declares, one in each `services/<name>/service.toml`: for the demo and `event-trio`.

It imports little, for the command line reads it whenever it starts.
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
    """How a service is run. Its roles are `<name>_api` and, with a relay, `<name>_relay`."""

    name: str
    port: int
    database: str
    publishes: str | None = None
    """The domain of its events, such as `order-events`; a relay carries them."""
    relay_port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings besides the common ones; `{name}` stands for the URL of a service."""


def load(folder: Path = SERVICES) -> tuple[DeclaredService, ...]:
    """Every declared service, in the order of their ports.

    Raises ConfigurationError: a declaration cannot be read; the message names the file and what is wrong with it.
    """
    found = [_read(path) for path in folder.glob(f"*/{FILE}")]
    return tuple(sorted(found, key=lambda service: service.port))


def _read(path: Path) -> DeclaredService:
    try:
        declared: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        wrong = next(_wrong(declared), None)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        wrong = str(error)
    if wrong is not None:
        raise ConfigurationError(f"{path.parent.name}/{FILE} cannot be used: {wrong}")
    return DeclaredService(name=path.parent.name, **declared)


def _wrong(declared: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a declaration, in sentences."""
    known = {each.name for each in fields(DeclaredService)} - {"name"}
    for name in sorted(set(declared) - known):
        yield f"{name} is not known; there are {', '.join(sorted(known))}"
    for name in ("port", "relay_port"):
        port = declared.get(name)
        if (port is not None or name == "port") and (type(port) is not int or port not in PORTS):
            yield f"{name} must be a port number from 1 to 65535"
    database, topic = declared.get("database"), declared.get("publishes")
    if not isinstance(database, str) or not DATABASE.fullmatch(database):
        yield "database must be a name of small letters, digits and underscores"
    if topic is not None and not (isinstance(topic, str) and TOPIC.fullmatch(topic)):
        yield "publishes must be the domain of its events, such as order-events"
    if (topic is None) != (declared.get("relay_port") is None):
        yield "publishes and relay_port go together: a relay carries what is published"
    environment = declared.get("environment", {})
    if not isinstance(environment, dict) or not all(isinstance(value, str) for value in environment.values()):
        yield "environment must be a table of texts"
