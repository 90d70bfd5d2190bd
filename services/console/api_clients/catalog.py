"""The AsyncAPI documents of all services, from which the flow of events is drawn."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import TypeAdapter

from event_trio.catalog.flow import Document, Flow, merge

from .replies import ApiFailure, ApiReply, FailureKind, failed
from .system import SystemClient

FRESH_SECONDS = 30.0
FLOW = TypeAdapter(Flow)


class CatalogMemory:
    """Remembers the last document of each service, so that the flow keeps its shape while one does not answer."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}

    async def read(self, system: SystemClient) -> tuple[Flow, tuple[ApiReply, ...]]:
        """The flow of all services that ever answered, and the replies of those that do not answer now."""
        replies = await system.ask(system.processes.services, "/asyncapi.json", fresh_seconds=FRESH_SECONDS)
        replies = [self._remembered(reply) for reply in replies]
        known = [self._documents[each.name] for each in system.processes.services if each.name in self._documents]
        return merge(known), failed(replies)

    def _remembered(self, reply: ApiReply) -> ApiReply:
        """Remember the document; a reply that is none becomes a failure."""
        name = reply.process.name
        if reply.ok and reply.body is not self._documents.get(name):
            if not _is_document(reply.body):
                return ApiReply(reply.process, failure=ApiFailure(FailureKind.UNEXPECTED))
            self._documents[name] = reply.body
        return reply

    def document(self, service: str) -> Document | None:
        """The last document of a service."""
        return self._documents.get(service)


def _is_document(found: Document) -> bool:
    """Whether a flow can be drawn of the document."""
    try:
        FLOW.validate_python(asdict(merge([found])))
    except (LookupError, TypeError, ValueError, AttributeError):
        return False
    return True
