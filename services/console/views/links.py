"""The addresses of pages to which other pages lead."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..web.page import query


@dataclass(frozen=True, slots=True)
class PageLinks:
    """The addresses of the pages that exist; None for one that this console does not have."""

    sections: Collection[str]

    def dead_letters(self, service: str) -> str | None:
        """The dead letters of a service."""
        return self._page("dead_letters", "/dead-letters", service=service)

    def deferred(self, service: str) -> str | None:
        """The deferred messages of a service."""
        return self._page("dead_letters", "/dead-letters", status="pending", service=service)

    def outbox(self, relay: str) -> str | None:
        """The outbox of a relay."""
        return self._page("outbox", f"/outbox/{relay}")

    def relay(self, name: str) -> str | None:
        """A relay or a consumer."""
        found = self._page("relays", "/relays")
        return f"{found}#{name}" if found else None

    def catalog(self, anchor: str) -> str | None:
        """An event or a topic in the catalog."""
        found = self._page("catalog", "/catalog")
        return f"{found}#{anchor}" if found else None

    def _page(self, section: str, path: str, **values: str) -> str | None:
        return query(path, values) if section in self.sections else None
