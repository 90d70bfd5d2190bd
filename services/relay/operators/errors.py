"""What an operator is told when something cannot be done."""

from __future__ import annotations

from event_trio.errors import EventTrioError


class NotInOutbox(EventTrioError):
    """There is no such thing in this outbox."""


class OperationRefused(EventTrioError):
    """The outbox's state does not allow this, or not yet; `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
