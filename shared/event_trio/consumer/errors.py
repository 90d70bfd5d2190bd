"""The errors of handlers and messages, and which errors say nothing about the event."""

from __future__ import annotations

from ..database.faults import Fault, fault_of
from ..error_text import describe as describe
from ..errors import EventTrioError
from ..inbox.transaction import TransactionEnded as TransactionEnded


class Reject(EventTrioError):
    """The handler will never accept this event: no attempt is left."""


class MalformedMessage(EventTrioError):
    """The message cannot be decoded."""


class InvalidPayload(EventTrioError):
    """The payload does not match the schema of its type."""


class RetryLater(EventTrioError):
    """The handler asks to run again after so many seconds. It counts as a failed attempt."""

    def __init__(self, seconds: float, message: str | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class DependencyUnavailable(EventTrioError):
    """Something that the handler needs is unavailable. It is not counted as an attempt."""

    def __init__(self, seconds: float, message: str | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class HandlerTimeout(EventTrioError):
    """The handler exceeded its timeout."""


def is_database_failure(error: BaseException) -> bool:
    """Whether an error says nothing about the event: the database is unavailable, or the transaction conflicted.

    False for violated constraints, invalid values, wrong SQL, missing grants, and errors that the database did not
    raise.
    """
    return fault_of(error) in (Fault.UNAVAILABLE, Fault.TRANSIENT)
