"""What every sender promises."""

from __future__ import annotations

from typing import Protocol

from event_trio.errors import EventTrioError

from ..domain import OutboundMessage

LEAST_SECONDS = 1.0
"""A channel that is down is not tried again any sooner."""


class SendFailed(EventTrioError):
    """This notice could not be sent this time: another attempt may succeed."""


class SendRejected(EventTrioError):
    """It will never be sent: this recipient or this content is refused."""


class SenderUnavailable(EventTrioError):
    """The channel is down as a whole, which is no attempt of any notice; come again after so many seconds.

    It is `doubtful` when the channel had begun with this very notice: then the notice itself may be why.
    """

    def __init__(self, seconds: float, message: str | None = None, *, doubtful: bool = False) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.doubtful = doubtful


class Sender(Protocol):
    """Reaches a customer over one channel."""

    channel: str

    async def send(self, notice: OutboundMessage) -> None:
        """Send a notice; when it returns, the channel has taken it.

        The same notice may be sent again after a crash, with the same key, by which a repetition is recognised.
        Runs outside any database transaction. Raises SendFailed, SendRejected or SenderUnavailable, whose texts name no
        recipient.
        """
        ...
