"""What can go wrong around a handler, told apart: the event's fault, or the database's."""

from __future__ import annotations

from ..database.faults import Fault, fault_of
from ..error_text import describe as describe
from ..errors import EventTrioError


class Reject(EventTrioError):
    """The handler will never accept this event: no attempt is left."""


class InvalidPayload(EventTrioError):
    """The event's data are not what its type promises."""


class RetryLater(EventTrioError):
    """The handler asks to run again after so many seconds; that is a failed attempt."""

    def __init__(self, seconds: float, message: str | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class DependencyUnavailable(EventTrioError):
    """Something that the handler needs is down as a whole: nobody's attempt."""

    def __init__(self, seconds: float, message: str | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class HandlerTimeout(EventTrioError):
    """The handler took longer than it may."""


def is_database_failure(error: BaseException) -> bool:
    """Whether an error says nothing about the event: the database is away or refuses, or others were in the way.

    False for violated constraints, bad values, wrong SQL, missing grants, and for what the database did not raise.
    """
    return fault_of(error) in (Fault.UNAVAILABLE, Fault.TRANSIENT)
