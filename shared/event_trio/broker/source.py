"""What a consumer requires of a broker from which it reads: the interface of a source, and its messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

# Codes of SQS for a receipt handle that is not valid any more, without the prefix, which differs by protocol.
STALE = ("ReceiptHandleIsInvalid", "InvalidParameterValue", "InvalidParameterValueException", "MessageNotInflight")
SENT_AT_UNKNOWN = datetime.fromtimestamp(0, UTC)
# AWS: ReceiveMessage, DeleteMessageBatch and ChangeMessageVisibilityBatch accept at most ten entries.
BATCH = 10


@dataclass(frozen=True, slots=True)
class Message:
    """A received message. Its receipt handle is valid until its visibility timeout expires."""

    message_id: str
    receipt_handle: str
    body: str
    group: str
    deduplication_id: str
    sequence_number: str
    receive_count: int
    sent_at: datetime
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RejectedMessage(Message):
    """A message whose entry of a batch failed."""

    code: str = ""

    @property
    def is_stale(self) -> bool:
        """Whether its receipt handle is not valid any more, so that a retry cannot succeed."""
        return self.code.replace("#", ".").rpartition(".")[2] in STALE

    @classmethod
    def stale(cls, message: Message) -> RejectedMessage:
        """The message as one whose receipt handle is not valid any more."""
        return cls(**{name: getattr(message, name) for name in Message.__slots__}, code=STALE[0])


class MessageSource(Protocol):
    """The messages of one subscriber. Any number of processes may read the same.

    Every call raises BrokerUnavailable, with the reason, when the broker cannot be used, and only that.
    `event_trio.testing.QueueSuite` tests what an implementation must promise.
    """

    name: str
    """Its name, for log lines and, by default, for the inbox."""
    system: str
    """The kind of broker, for spans: a value of OpenTelemetry's `messaging.system`, such as `kafka`."""

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        """Receive up to `most` messages, waiting up to `wait_seconds` for the first.

        - The messages of a group come in the order in which they were sent.
        - While a message of a group is invisible, no process receives a later one of its group.
        - A message is invisible for `visibility_seconds`, and then received again, before the later ones of its group,
          with another receipt handle, the same message id and a greater receive count.
        - It is not cancelled by the consumer, which waits for its end.
        """
        ...

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        """Acknowledge messages, which are never received again; returns those that failed.

        A message whose receipt handle is not valid any more is either returned, as a `RejectedMessage` with a code of
        `STALE`, or ignored; in no case is the message of its new owner deleted.
        """
        ...

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        """Keep messages invisible for `seconds` from now; returns those that failed, as `delete` does."""
        ...

    async def url(self) -> str:
        """Where it is, for log lines; raises BrokerUnavailable if it does not exist."""
        ...
