"""Errors of operations."""

from __future__ import annotations

from event_trio.errors import EventTrioError


class NotInOutbox(EventTrioError):
    """The outbox has no such event, group or replay."""


class OperationRefused(EventTrioError):
    """The state of the outbox does not allow the operation, or not yet; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
