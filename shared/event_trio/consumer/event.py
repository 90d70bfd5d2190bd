"""An event as its handler sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from ..contracts.payload import EventPayload
from ..envelope import Envelope

P = TypeVar("P", bound=EventPayload)


@dataclass(frozen=True, slots=True)
class Event(Generic[P]):
    """The payload, already checked, and the envelope it came in."""

    payload: P
    envelope: Envelope
    stale: bool
    """A later event of the same source and subject has been processed already, so this one comes out of order."""
    attempt: int
    """Which attempt of this delivery it is, from 1."""

    @property
    def id(self) -> UUID:
        """The key of any effect outside the database, which a crash may repeat."""
        return self.envelope.id
