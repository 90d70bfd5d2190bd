"""One attempt to handle a delivery: how far it came, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...inbox.delivery import Delivery
from ..event import Event


@dataclass(slots=True)
class Attempt:
    """What is known of an attempt when it fails. Times are seconds."""

    delivery: Delivery
    timeout: float = 0.0
    """How long the handler may take."""
    event: Event[Any] | None = None
    """The event, once its payload is known."""
    in_database: bool = False
    """Statements are being executed, by the consumer or by the handler."""
    in_handler: bool = False
    """The handler's own statements are being executed."""
    act_seconds: float = 0.0
    """How long `act` took."""
    seconds: float = 0.0
    """How long the whole attempt took."""
    timed_out: bool = False
    """The handler's timeout ended it."""

    @property
    def used_most_of_its_time(self) -> bool:
        """Whether it timed out after `act` took most of the time, so that the timeout is not the database's fault."""
        return self.timed_out and self.act_seconds > self.timeout / 2
