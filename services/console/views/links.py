"""The addresses of pages to which other pages lead."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..web.page import query


@dataclass(frozen=True, slots=True)
class PageLinks:
    """The addresses of the pages that exist; None for one that this console does not have."""

    sections: Collection[str]
    is_operator: bool = False

    def dead_letters(self, service: str) -> str | None:
        """The dead letters of a service."""
        return self._page("dead_letters", "/dead-letters", service=service)

    def deferred(self, service: str) -> str | None:
        """The deferred messages of a service."""
        return self._page("dead_letters", "/dead-letters", status="pending", service=service)

    def outbox(self, relay: str) -> str | None:
        """The outbox of a relay."""
        return self._page("outbox", f"/outbox/{relay}")

    def run_now(self, service: str, event_id: str) -> str | None:
        """The confirmation with which an operator runs a deferred message now; for a reader, the messages."""
        if not self.is_operator:
            return self.deferred(service)
        return self._page("dead_letters", f"/dead-letters/{service}/changes/run", status="pending", event_id=event_id)

    def message(self, service: str, event_id: str) -> str | None:
        """A dead letter or deferred message."""
        return self._page("dead_letters", f"/dead-letters/{service}/message", id=event_id)

    def resume(self, relay: str) -> str | None:
        """The confirmation with which an operator resumes an outbox; for a reader, the outbox."""
        return self._page("outbox", f"/outbox/{relay}/sending/resume") if self.is_operator else self.outbox(relay)

    def group(self, relay: str, subject: str) -> str | None:
        """A message group in an outbox."""
        return self._page("outbox", f"/outbox/{relay}/group", subject=subject)

    def replay(self, relay: str, id: object) -> str | None:
        """A replay with its progress."""
        return self._page("outbox", f"/outbox/{relay}/replays/{id}")

    def event(self, service: str, event_id: str) -> str | None:
        """The envelope and payload of an event, for operators."""
        return f"/events/{service}/{event_id}" if self.is_operator else None

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
