"""The ports that the demo listens on, each with the environment variable that changes it."""

import os
from dataclasses import dataclass

from tools.demo.errors import DemoError
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
    """All of them."""

    order: Port
    notification: Port
    order_relay: Port
    notification_relay: Port
    postgres: Port
    localstack: Port

    @classmethod
    def from_environment(cls) -> "Ports":
        """Read DEMO_*_PORT.

        Raises:
            DemoError: one of them is not a port number.
        """
        return cls(
            order=_port(8000, "the order service", "DEMO_ORDER_PORT"),
            notification=_port(8001, "the notification service", "DEMO_NOTIFICATION_PORT"),
            order_relay=_port(8002, "the relay of orders", "DEMO_ORDER_RELAY_PORT"),
            notification_relay=_port(8003, "the relay of notifications", "DEMO_NOTIFICATION_RELAY_PORT"),
            postgres=_port(15432, "Postgres", "DEMO_POSTGRES_PORT"),
            localstack=_port(14566, "LocalStack", "DEMO_LOCALSTACK_PORT"),
        )

    @property
    def all(self) -> tuple[Port, ...]:
        return (
            self.order,
            self.notification,
            self.order_relay,
            self.notification_relay,
            self.postgres,
            self.localstack,
        )

    def ensure_free(self) -> None:
        """Raise PortInUseError if somebody listens on one."""
        for port in self.all:
            ensure_free(port.number, port.purpose, port.variable)

    def ensure_distinct(self) -> None:
        """Raise DemoError if two of them are the same."""
        for index, port in enumerate(self.all):
            for other in self.all[:index]:
                if port.number == other.number:
                    raise DemoError(
                        f"Port {port.number} is wanted by {other.purpose} and {port.purpose}: "
                        f"change {other.variable} or {port.variable}."
                    )


def _port(default: int, purpose: str, variable: str) -> Port:
    text = os.environ.get(variable, "").strip() or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise DemoError(f"{variable} is {text!r}; it must be a port number from 1 to 65535.")
    return Port(int(text), purpose, variable)
