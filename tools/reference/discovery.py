"""Finds classes in the packages of the project, so that pages include new ones."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType

PACKAGES = ("event_trio", "services", "infra")


def modules() -> Iterator[ModuleType]:
    """Import every module of the packages, except migrations, which Alembic imports."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if ".migrations" not in found.name:
                yield importlib.import_module(found.name)


def classes(wanted: Callable[[type], bool]) -> list[type]:
    """The classes that match, by module and in the order of the source."""
    return [
        value
        for module in modules()
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__ and wanted(value)
    ]
