"""The ports that the demo listens on, each with the environment variable that changes it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tools.declared_services import DeclaredService
from tools.demo.errors import DemoFailed
from tools.embedded.ports import LOOPBACK, ensure_free


@dataclass(frozen=True)
class Port:
    """A port, what it is for, and how to change it."""

    number: int
    purpose: str
    variable: str

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.number}"


@dataclass(frozen=True)
class Ports:
    """All of them; services and relays by the name of the service."""

    services: dict[str, Port]
    relays: dict[str, Port]
    postgres: Port
    localstack: Port

    @classmethod
    def from_environment(cls, declared: Sequence[DeclaredService]) -> "Ports":
        """Read DEMO_*_PORT.

        Raises:
            DemoFailed: one of them is not a port number.
        """
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
            postgres=_port(15432, "Postgres", "DEMO_POSTGRES_PORT"),
            localstack=_port(14566, "LocalStack", "DEMO_LOCALSTACK_PORT"),
        )

    @property
    def programs(self) -> tuple[Port, ...]:
        """Those of the project's own processes."""
        return (*self.services.values(), *self.relays.values())

    @property
    def all(self) -> tuple[Port, ...]:
        return (*self.programs, self.postgres, self.localstack)

    def ensure_free(self) -> None:
        """Raise PortInUse if somebody listens on one."""
        for port in self.all:
            ensure_free(port.number, port.purpose, port.variable)

    def ensure_distinct(self) -> None:
        """Raise DemoFailed if two of them are the same."""
        for index, port in enumerate(self.all):
            for other in self.all[:index]:
                if port.number == other.number:
                    raise DemoFailed(
                        f"Port {port.number} is wanted by {other.purpose} and {port.purpose}: "
                        f"change {other.variable} or {port.variable}."
                    )


def _port(default: int, purpose: str, variable: str) -> Port:
    text = os.environ.get(variable, "").strip() or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise DemoFailed(f"{variable} is {text!r}; it must be a port number from 1 to 65535.")
    return Port(int(text), purpose, variable)
