"""Errors, with the codes that AWS gives."""

from __future__ import annotations

from event_trio.errors import EventTrioError


class RequestRefused(EventTrioError):
    """A request that AWS would refuse. `query_code` is the code of the query protocol, where it differs."""

    def __init__(self, code: str, message: str, *, status: int = 400, query_code: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.query_code = query_code or code


def missing_queue(name: str) -> RequestRefused:
    """The error for a queue that does not exist."""
    return RequestRefused(
        "QueueDoesNotExist",
        f"The specified queue does not exist: {name}",
        query_code="AWS.SimpleQueueService.NonExistentQueue",
    )
