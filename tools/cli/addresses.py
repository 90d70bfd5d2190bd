"""The services to query and their addresses: from EVENT_TRIO_SERVICES, or else those that the project declares."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import typer

from tools import declared_services

VARIABLE = "EVENT_TRIO_SERVICES"
EXAMPLE = "order=http://127.0.0.1:8000,order-relay=http://127.0.0.1:8002"
RELAY_SUFFIX = "-relay"


@dataclass(frozen=True)
class Address:
    """The name and URL of a process. The process `order-relay` is the relay of the service `order`."""

    name: str
    url: str

    @property
    def is_relay(self) -> bool:
        """Whether the name is that of a relay."""
        return self.name.endswith(RELAY_SUFFIX)

    @property
    def domain(self) -> str:
        """The topic to which a relay publishes, without the prefix."""
        return f"{self.name.removesuffix(RELAY_SUFFIX)}-events"


def load(environment: Mapping[str, str] = os.environ) -> list[Address]:
    """Every declared address, in the order of declaration.

    Raises typer.BadParameter when EVENT_TRIO_SERVICES cannot be parsed.
    """
    entries = split(environment.get(VARIABLE) or "")
    if not entries:
        return _project_addresses()
    found: dict[str, Address] = {}
    for entry in entries:
        name, equals, url = entry.partition("=")
        if not (name and equals and url.lower().startswith(("http://", "https://"))):
            raise typer.BadParameter(
                f"{VARIABLE} contains {entry!r}, which is not name=http://address; example: {EXAMPLE}"
            )
        found[name] = Address(name, url.rstrip("/"))
    return list(found.values())


def find_by_name(name: str, addresses: list[Address]) -> Address:
    """The address with that name; a relay is also found by the name of its publisher.

    Raises typer.BadParameter, naming the known services, when there is none.
    """
    for address in addresses:
        if address.name == name or (address.is_relay and address.name == f"{name}{RELAY_SUFFIX}"):
            return address
    known = ", ".join(address.name for address in addresses) or "none"
    raise typer.BadParameter(f"unknown service {name!r}; known services: {known} (declared in {VARIABLE})")


def find_by_url(url: str, addresses: list[Address]) -> Address:
    """The declared address with that URL, or one without a name."""
    url = url.rstrip("/")
    return next((address for address in addresses if address.url == url), Address("", url))


def publisher_of(relay: Address, addresses: list[Address]) -> Address | None:
    """The service whose outbox the relay publishes; None for a process that is not a relay."""
    name = relay.name.removesuffix(RELAY_SUFFIX)
    return next((address for address in addresses if address.name == name), None) if relay.is_relay else None


def split(text: str) -> list[str]:
    """The items of a list that is separated by commas or whitespace."""
    return [item for item in re.split(r"[\s,]+", text) if item]


def _project_addresses() -> list[Address]:
    """The services and relays at the ports that `make demo` and the containers use, scaffolded services included."""
    services = declared_services.load()
    publishers = [Address(service.name, f"http://127.0.0.1:{service.port}") for service in services]
    relays = [
        Address(f"{service.name}{RELAY_SUFFIX}", f"http://127.0.0.1:{service.relay_port}")
        for service in services
        if service.relay_port is not None
    ]
    return [*publishers, *relays]
