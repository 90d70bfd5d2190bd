"""An SQS FIFO queue: receives messages, extends their visibility and deletes them, in batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import BrokerUnavailable
from .aws import BROKER_FAULTS, error_code, is_not_found
from .source import BATCH as BATCH
from .source import SENT_AT_UNKNOWN
from .source import Message as Message
from .source import RejectedMessage as RejectedMessage

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.type_defs import MessageTypeDef

# All that a reader needs that only counts or confirms messages.
WITHOUT_ATTRIBUTES = ["MessageGroupId", "MessageDeduplicationId", "SentTimestamp"]


class Queue:
    """A queue. Its URL is looked up at the first call, and again after the queue was not found.

    Every call raises BrokerUnavailable, with the reason, when the queue or the broker cannot be used.
    """

    system = "aws_sqs"

    def __init__(
        self, client: SQSClient, name: str, *, url: str | None = None, without_attributes: bool = False
    ) -> None:
        """`url` is needed for a queue of another account; any other is found by its name.

        With `without_attributes`, messages are received without attributes, sequence number and receive count.
        """
        self.name = name
        self.missing = False
        """Whether the queue did not exist at the last call."""
        self._client = client
        self._message_attributes = [] if without_attributes else ["All"]
        self._system_attributes: list[Any] = WITHOUT_ATTRIBUTES if without_attributes else ["All"]
        self._known_url = url
        self._url = url

    async def receive(self, *, wait_seconds: int, visibility_seconds: int, most: int = BATCH) -> list[Message]:
        """Receive up to `most` messages, waiting up to `wait_seconds` (at most 20) for the first.

        Do not cancel it: a cancelled receive can still take messages, which then stay invisible.
        """
        url = await self.url()
        try:
            answer = await self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=visibility_seconds,
                MessageAttributeNames=self._message_attributes,
                MessageSystemAttributeNames=self._system_attributes,
            )
        except BROKER_FAULTS as error:
            raise self._unavailable("receive from", error) from error
        self._ensure_sqs(answer)
        return [_message(raw) for raw in answer.get("Messages", [])]

    async def delete(self, messages: Iterable[Message]) -> list[Message]:
        """Delete in batches; returns the entries that failed."""
        url = await self.url()
        rejected: list[Message] = []
        for batch in _batches(messages):
            try:
                answer = await self._client.delete_message_batch(
                    QueueUrl=url,
                    Entries=[{"Id": str(i), "ReceiptHandle": m.receipt_handle} for i, m in enumerate(batch)],
                )
            except BROKER_FAULTS as error:
                raise self._unavailable("delete from", error) from error
            self._ensure_sqs(answer)
            rejected += _rejected(batch, answer.get("Failed", []))
        return rejected

    async def extend(self, messages: Iterable[Message], seconds: int) -> list[Message]:
        """Keep messages invisible for `seconds` from now; returns the entries that failed."""
        url = await self.url()
        rejected: list[Message] = []
        for batch in _batches(messages):
            try:
                answer = await self._client.change_message_visibility_batch(
                    QueueUrl=url,
                    Entries=[
                        {"Id": str(i), "ReceiptHandle": m.receipt_handle, "VisibilityTimeout": seconds}
                        for i, m in enumerate(batch)
                    ],
                )
            except BROKER_FAULTS as error:
                raise self._unavailable("extend messages of", error) from error
            self._ensure_sqs(answer)
            rejected += _rejected(batch, answer.get("Failed", []))
        return rejected

    async def attributes(self) -> dict[str, str]:
        """The queue's attributes by their AWS names (QueueArn, CreatedTimestamp, ApproximateNumberOfMessages, ...)."""
        url = await self.url()
        try:
            answer = await self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        except BROKER_FAULTS as error:
            raise self._unavailable("read the attributes of", error) from error
        self._ensure_sqs(answer)
        return {str(name): value for name, value in answer.get("Attributes", {}).items()}

    async def url(self) -> str:
        """The queue's URL."""
        if self._url is None:
            try:
                self._url = (await self._client.get_queue_url(QueueName=self.name))["QueueUrl"]
                self.missing = False
            except BROKER_FAULTS as error:
                raise self._unavailable("find", error) from error
        return self._url

    def _ensure_sqs(self, answer: Mapping[str, Any]) -> None:
        # For the SDK a gateway's page with status 200 is an empty response: no messages, or no failed entries. Every
        # response of SQS has a request id.
        if "RequestId" not in answer["ResponseMetadata"]:
            raise BrokerUnavailable(f"the endpoint of queue {self.name} is not SQS")

    def _unavailable(self, action: str, error: BaseException) -> BrokerUnavailable:
        code = error_code(error)
        self.missing = is_not_found(error)
        if self.missing:
            self._url = self._known_url
            return BrokerUnavailable(f"queue {self.name} does not exist; deploy the topology")
        return BrokerUnavailable(f"cannot {action} queue {self.name}: {code}")


def _message(raw: MessageTypeDef) -> Message:
    system: Mapping[Any, str] = raw.get("Attributes", {})
    sent = system.get("SentTimestamp")
    attributes = raw.get("MessageAttributes")
    return Message(
        message_id=raw.get("MessageId", ""),
        receipt_handle=raw.get("ReceiptHandle", ""),
        body=raw.get("Body", ""),
        group=system.get("MessageGroupId", ""),
        deduplication_id=system.get("MessageDeduplicationId", ""),
        sequence_number=system.get("SequenceNumber", ""),
        receive_count=int(system.get("ApproximateReceiveCount", "1")),
        sent_at=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else SENT_AT_UNKNOWN,
        attributes={name: value["StringValue"] for name, value in attributes.items() if "StringValue" in value}
        if attributes
        else {},
    )


def _rejected(batch: Sequence[Message], failures: Iterable[Mapping[str, Any]]) -> Iterable[RejectedMessage]:
    for failure in failures:
        message = batch[int(failure["Id"])]
        known = {each.name: getattr(message, each.name) for each in fields(Message)}
        yield RejectedMessage(**known, code=str(failure.get("Code", "")))


def _batches(messages: Iterable[Message]) -> Iterable[Sequence[Message]]:
    rest = iter(messages)
    while batch := list(islice(rest, BATCH)):
        yield batch
