"""An event as its handler sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from ..contracts.payload import EventPayload
from ..envelope import Envelope
from ..errors import EventTrioError
from ..inbox.delivery import DecodedMessage

P = TypeVar("P", bound=EventPayload)


class NoEnvelope(EventTrioError):
    """The message did not come in a CloudEvents envelope; use the attributes of the event itself."""


@dataclass(frozen=True, slots=True)
class Event(Generic[P]):
    """The validated payload, and what the decoder read beside it."""

    payload: P
    message: DecodedMessage
    stale: bool
    """Whether a later event of the same source and subject has been handled: this one is out of order."""
    attempt: int
    """The number of the attempt, from 1."""

    @property
    def id(self) -> str:
        """The key of the event, the same at each delivery: the idempotency key of effects outside the database."""
        return self.message.id

    @property
    def type(self) -> str:
        """The type of the event."""
        return self.message.type or type(self.payload).type

    @property
    def group(self) -> str | None:
        """The message group: the events of a group are handled one after the other."""
        return self.message.group

    @property
    def subject(self) -> str | None:
        """What the event is about, if the message says so."""
        return self.message.subject

    @property
    def sequence(self) -> int | None:
        """Its place among the events of its source and subject, if the message says so."""
        return self.message.sequence

    @property
    def time(self) -> datetime | None:
        """When it happened, if the message says so."""
        return self.message.time

    @property
    def envelope(self) -> Envelope:
        """The CloudEvents envelope; raises NoEnvelope if another decoder read the message."""
        if self.message.envelope is None:
            raise NoEnvelope
        return self.message.envelope
