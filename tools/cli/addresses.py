"""Which services there are and where: those that a variable declares, else those that the project does."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

import typer

from tools import declared_services

VARIABLE = "EVENT_TRIO_SERVICES"
EXAMPLE = "order=http://127.0.0.1:8000,order-relay=http://127.0.0.1:8002"
RELAY = "-relay"


@dataclass(frozen=True)
class Address:
    """Where a process of a service is. That of `order-relay` carries the outbox of `order`."""

    name: str
    url: str

    @property
    def is_relay(self) -> bool:
        """Whether it is a relay, by its name."""
        return self.name.endswith(RELAY)

    @property
    def domain(self) -> str:
        """Of a relay: the topic that it carries events to."""
        return f"{self.name.removesuffix(RELAY)}-events"


def declared(environment: Mapping[str, str] = os.environ) -> list[Address]:
    """All of them, in the order of their declaration; raises typer.BadParameter when they cannot be read."""
    found: dict[str, Address] = {}
    given = split(environment.get(VARIABLE) or "")
    if not given:
        return _of_the_project()
    for part in given:
        name, equals, url = part.partition("=")
        if not (name and equals and url.startswith(("http://", "https://"))):
            raise typer.BadParameter(f"{VARIABLE} has {part!r}, which is no name=http://address; example: {EXAMPLE}")
        found[name] = Address(name, url.rstrip("/"))
    return list(found.values())


def _of_the_project() -> list[Address]:
    """The services and relays where `make demo` and the containers have them; a scaffolded service is among them."""
    services = declared_services.load()
    here = [Address(service.name, f"http://127.0.0.1:{service.port}") for service in services]
    relays = [(service.name, service.relay_port) for service in services if service.relay_port is not None]
    return [*here, *(Address(f"{name}{RELAY}", f"http://127.0.0.1:{port}") for name, port in relays)]


def find_by_name(name: str, among: list[Address]) -> Address:
    """The one of that name; raises typer.BadParameter, which names those that there are."""
    for address in among:
        if address.name == name or (address.is_relay and address.name == f"{name}{RELAY}"):
            return address
    known = ", ".join(address.name for address in among) or "none"
    raise typer.BadParameter(f"{name!r} is not declared; there are: {known} ({VARIABLE} declares others)")


def at(url: str, among: list[Address]) -> Address:
    """The declared one with that address, or one without a name."""
    url = url.rstrip("/")
    return next((address for address in among if address.url == url), Address("", url))


def publisher_of(relay: Address, among: list[Address]) -> Address | None:
    """The service whose outbox a relay carries."""
    name = relay.name.removesuffix(RELAY)
    return next((address for address in among if address.name == name), None) if relay.is_relay else None


def split(text: str) -> list[str]:
    """The parts of a list that commas or blanks part."""
    return [part for part in re.split(r"[\s,]+", text) if part]
