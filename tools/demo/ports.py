"""The ports of the demo, each with the environment variable that changes it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tools.declared_services import DeclaredService
from tools.demo.errors import DemoFailed
from tools.embedded.ports import LOOPBACK, ensure_free


@dataclass(frozen=True)
class Port:
    """A port, its purpose, and the variable that changes it."""

    number: int
    purpose: str
    variable: str

    @property
    def url(self) -> str:
        """The URL of a server on this port."""
        return f"http://{LOOPBACK}:{self.number}"


@dataclass(frozen=True)
class Ports:
    """The ports of all processes; those of services and relays by the name of the service."""

    services: dict[str, Port]
    relays: dict[str, Port]
    console: Port
    postgres: Port
    localstack: Port

    @classmethod
    def from_environment(cls, declared: Sequence[DeclaredService]) -> Ports:
        """Read the variables DEMO_*_PORT. Raises DemoFailed when one is not a port number."""
        services, relays = {}, {}
        for service in declared:
            variable = f"DEMO_{service.name.upper()}"
            services[service.name] = _port(service.port, f"the {service.name} service", f"{variable}_PORT")
            if service.relay_port is not None:
                relays[service.name] = _port(
                    service.relay_port, f"the relay of {service.publishes}", f"{variable}_RELAY_PORT"
                )
        return cls(
            services=services,
            relays=relays,
            console=_port(8010, "the console", "DEMO_CONSOLE_PORT"),
            postgres=_port(15432, "Postgres", "DEMO_POSTGRES_PORT"),
            localstack=_port(14566, "LocalStack", "DEMO_LOCALSTACK_PORT"),
        )

    @property
    def programs(self) -> tuple[Port, ...]:
        """The ports of services and relays."""
        return (*self.services.values(), *self.relays.values())

    @property
    def processes(self) -> dict[str, str]:
        """The URLs of services and relays by their names, as the console and `event-trio` know them."""
        relays = {f"{name}-relay": port.url for name, port in self.relays.items()}
        return {**{name: port.url for name, port in self.services.items()}, **relays}

    @property
    def all(self) -> tuple[Port, ...]:
        """All ports."""
        return (*self.programs, self.console, self.postgres, self.localstack)

    def ensure_free(self) -> None:
        """Raises PortInUse when another program listens on one of them."""
        for port in self.all:
            ensure_free(port.number, port.purpose, port.variable)

    def ensure_distinct(self) -> None:
        """Raises DemoFailed when two of them are the same."""
        for index, port in enumerate(self.all):
            for other in self.all[:index]:
                if port.number == other.number:
                    raise DemoFailed(
                        f"Port {port.number} is assigned to {other.purpose} and to {port.purpose}: "
                        f"change {other.variable} or {port.variable}."
                    )


def _port(default: int, purpose: str, variable: str) -> Port:
    text = os.environ.get(variable, "").strip() or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise DemoFailed(f"{variable} is {text!r}; it must be a port number from 1 to 65535.")
    return Port(int(text), purpose, variable)
