"""The services and relays that the console shows, and their addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from event_trio.urls import http_url

RELAY_SUFFIX = "-relay"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class ApiProcess:
    """The name and URL of a service or of a relay. `order-relay` is the relay of the service `order`."""

    name: str
    url: str

    @property
    def is_relay(self) -> bool:
        """Whether it is a relay."""
        return self.name.endswith(RELAY_SUFFIX)

    @property
    def service(self) -> str:
        """The service that owns its database."""
        return self.name.removesuffix(RELAY_SUFFIX)


class Processes:
    """All services and relays, in the order of their declaration."""

    def __init__(self, all_processes: Iterable[ApiProcess]) -> None:
        self._by_name = {process.name: process for process in all_processes}

    def __iter__(self) -> Iterator[ApiProcess]:
        return iter(self._by_name.values())

    @property
    def services(self) -> tuple[ApiProcess, ...]:
        """The services."""
        return tuple(process for process in self if not process.is_relay)

    @property
    def relays(self) -> tuple[ApiProcess, ...]:
        """The relays."""
        return tuple(process for process in self if process.is_relay)

    def find(self, name: str) -> ApiProcess | None:
        """The process of that name."""
        return self._by_name.get(name)

    def relay_of(self, service: str) -> ApiProcess | None:
        """The relay of a service, if it has one."""
        return self._by_name.get(f"{service}{RELAY_SUFFIX}")


def parse(text: str) -> tuple[ApiProcess, ...]:
    """The processes of a list `name=address`, separated by commas or whitespace. Raises ValueError."""
    found: dict[str, ApiProcess] = {}
    for entry in filter(None, re.split(r"[\s,]+", text)):
        name, equals, url = entry.partition("=")
        if not equals or not NAME.fullmatch(name):
            raise ValueError(f"contains {entry!r}, which is not name=http://address")
        if name in found:
            raise ValueError(f"names {name!r} twice")
        try:
            found[name] = ApiProcess(name, http_url(url).rstrip("/"))
        except ValueError as error:
            raise ValueError(f"the address of {name!r} {error}") from None
    if not found:
        raise ValueError("must name at least one service")
    return tuple(found.values())
