"""What every sender promises."""

from __future__ import annotations

from typing import Protocol

from shared.errors import EventTrioError

from ..domain import Notice


class SendFailed(EventTrioError):
    """It could not be sent this time; another attempt may succeed."""


class SenderDown(EventTrioError):
    """The channel is down as a whole; it is not tried again for so many seconds."""

    def __init__(self, seconds: float, message: str | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class SendRefused(EventTrioError):
    """It will never be sent: this recipient or this content is refused."""


class Sender(Protocol):
    """Reaches a customer over one channel."""

    channel: str

    async def send(self, notice: Notice) -> None:
        """Send a notice; when it returns, the channel has taken it.

        The same notice may be sent again after a crash, with the same key, by which a repetition is recognised.
        Runs outside any database transaction. Raises SendFailed or SendRefused, whose texts name no recipient.
        """
        ...
