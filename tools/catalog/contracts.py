"""The events that the contracts declare."""

from __future__ import annotations

import importlib
import pkgutil

from event_trio import contracts
from event_trio.contracts.payload import EventPayload


def declared_events() -> tuple[type[EventPayload], ...]:
    """Every version of every event in `event_trio.contracts`, by module and in the order of the source."""
    modules = [
        importlib.import_module(f"{contracts.__name__}.{found.name}")
        for found in pkgutil.iter_modules(contracts.__path__)
    ]
    return tuple(
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, EventPayload)
        and value.__module__ == module.__name__
        and "type" in vars(value)
    )
