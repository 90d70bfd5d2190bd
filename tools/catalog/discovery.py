"""What each service publishes and consumes, from its own application."""

from __future__ import annotations

import importlib
from typing import Any, get_type_hints
from unittest import mock

from event_trio.catalog.messaging import Messaging
from event_trio.contracts.payload import EventPayload
from event_trio.errors import ConfigurationError
from tools.declared_services import DeclaredService
from tools.declared_services import load as load_services

# No connection is made: what is declared depends on the code only.
SETTINGS: dict[str, Any] = {
    "database_url": "postgresql://nobody@127.0.0.1/nothing",
    "auth_jwks": "https://issuer.example.com/jwks.json",
    "auth_issuer": "https://issuer.example.com",
    "auth_audience": "event-trio",
}


def services() -> tuple[Messaging, ...]:
    """Every declared service, in the order of the ports. Raises ConfigurationError."""
    with mock.patch.dict("os.environ", clear=True):
        return tuple(_messaging(service) for service in load_services())


def published_events() -> tuple[type[EventPayload], ...]:
    """The events of all services, by service and in the order of their declaration."""
    return tuple(event for service in services() for event in service.events)


def _messaging(service: DeclaredService) -> Messaging:
    main = importlib.import_module(f"services.{service.name}.main")
    settings = get_type_hints(main.build)["settings"]
    found: Messaging = main.build(settings(**SETTINGS)).state.messaging
    if found.domain != service.publishes:
        raise ConfigurationError(
            f"{service.name}: main.py publishes {found.domain or 'nothing'}, and service.toml declares "
            f"{service.publishes or 'nothing'}"
        )
    for event in found.events:
        if event.owner != service.name:
            raise ConfigurationError(f"{event.type} is published by {service.name}, and its owner is {event.owner!r}")
    return found
