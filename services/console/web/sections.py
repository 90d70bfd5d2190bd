"""The entries of the navigation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """A page of the navigation. Its label is the text `<name>.section`, its icon the symbol `<name>` of `icons.svg`."""

    name: str
    path: str
