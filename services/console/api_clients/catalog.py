"""The AsyncAPI documents of all services, from which the flow of events is drawn."""

from __future__ import annotations

from event_trio.catalog.flow import Document, Flow, merge

from .replies import ApiReply, failed
from .system import SystemClient

FRESH_SECONDS = 30.0


class CatalogMemory:
    """Remembers the last document of each service, so that the flow keeps its shape while one does not answer."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}

    async def read(self, system: SystemClient) -> tuple[Flow, tuple[ApiReply, ...]]:
        """The flow of all services that ever answered, and the replies of those that do not answer now."""
        replies = await system.ask(system.processes.services, "/asyncapi.json", fresh_seconds=FRESH_SECONDS)
        for reply in replies:
            if reply.ok:
                self._documents[reply.process.name] = reply.body
        known = [self._documents[each.name] for each in system.processes.services if each.name in self._documents]
        return merge(known), failed(replies)

    def document(self, service: str) -> Document | None:
        """The last document of a service."""
        return self._documents.get(service)
