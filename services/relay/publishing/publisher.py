"""Hands a batch to the topic, and tells entry by entry what the broker said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, ParamValidationError

from shared.aws import BROKER_FAULTS, error_code
from shared.database import DATABASE_FAULTS
from shared.errors import BrokerUnavailable
from shared.queue import Queue

from .backlog import PendingEvent
from .outcome import (
    Accepted,
    Answered,
    CallOutcome,
    Outage,
    Outcome,
    Refused,
    Transient,
    Unsent,
    classify_call,
    classify_entry,
)

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sns.type_defs import PublishBatchRequestEntryTypeDef, PublishBatchResponseTypeDef


FAULTS: tuple[type[BaseException], ...] = (*BROKER_FAULTS, *DATABASE_FAULTS)
# What cannot be understood is quoted by the SDK in full, be it a whole page.
REASON_CHARACTERS = 300


class Publisher:
    """Publishes to one topic.

    The topic's ARN is taken from the publish-check queue's: same account, same region. So the relay needs no
    permission to list topics, and no account number among its settings.
    """

    def __init__(
        self,
        client: SNSClient,
        publish_check: Queue,
        topic: str,
        *,
        call_seconds: float,
        meet: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._client = client
        self._publish_check = publish_check
        self._topic = topic
        self._call_seconds = call_seconds
        self._meet = meet
        self._arn: str | None = None
        self._attaching = asyncio.Lock()

    def forget(self) -> None:
        """The broker was away: look again before the next call whether it is the one it was."""
        self._arn = None

    async def publish(self, events: Sequence[PendingEvent]) -> CallOutcome:
        """One PublishBatch of at most ten events, bounded in time; raises nothing that broker or database cause."""
        answer = await self._publish(events)
        if isinstance(answer, Outage):
            self.forget()
        return answer

    async def _publish(self, events: Sequence[PendingEvent]) -> CallOutcome:
        try:
            entries = [_entry(str(i), event) for i, event in enumerate(events)]
        except UnicodeDecodeError as error:
            return Refused(f"a body is no text: {error.reason}")
        try:
            async with asyncio.timeout(self._call_seconds):
                if self._arn is None:
                    return await self._attach()
                answer = await self._client.publish_batch(TopicArn=self._arn, PublishBatchRequestEntries=entries)
                return Answered(tuple(_outcomes(answer, len(events))))
        except BrokerUnavailable as error:
            return Outage(str(error))
        except ParamValidationError as error:
            # The SDK would not make a request of it: that is an event's fault, and nobody else waits for it.
            return Refused(str(error)[:REASON_CHARACTERS])
        except ClientError as error:
            code = error_code(error)
            if code in ("NotFound", "NotFoundException"):
                return Outage(f"topic {self._topic} does not exist; deploy the topology")
            return classify_call(code, str(error.response.get("Error", {}).get("Message", "")))
        except TimeoutError:
            return Outage(f"no answer within {self._call_seconds} s")
        except FAULTS as error:
            return Outage(f"{type(error).__name__}: {error}"[:REASON_CHARACTERS])

    async def check(self) -> str | None:
        """What keeps the topic from being used, or None."""
        try:
            arn, _ = await self._find()
            await self._client.get_topic_attributes(TopicArn=arn)
        except BrokerUnavailable as error:
            return str(error)
        except BROKER_FAULTS as error:
            code = error_code(error)
            missing = code in ("NotFound", "NotFoundException")
            return (
                f"topic {self._topic} {'does not exist; deploy the topology' if missing else f'cannot be used: {code}'}"
            )
        return None

    async def _attach(self) -> CallOutcome:
        # Another relay, or a call at the same moment, may have met the new broker first: whoever comes after finds it
        # known, and has in hand what was read before anybody asked for that which the broker lost.
        async with self._attaching:
            if self._arn is None:
                arn, created = await self._find()
                if not await self._meet(created):
                    return Outage("the broker is new; what it lost goes first")
                self._arn = arn
        return Unsent()

    async def _find(self) -> tuple[str, str]:
        attributes = await self._publish_check.attributes()
        account = attributes["QueueArn"].rpartition(":")[0].replace(":sqs:", ":sns:", 1)
        return f"{account}:{self._topic}", attributes["CreatedTimestamp"]


def _entry(entry_id: str, event: PendingEvent) -> PublishBatchRequestEntryTypeDef:
    return {
        "Id": entry_id,
        "Message": event.body.decode(),
        "MessageGroupId": event.subject,
        "MessageDeduplicationId": event.deduplication_id,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in event.attributes.items()
        },
    }


def _outcomes(answer: PublishBatchResponseTypeDef, count: int) -> list[Outcome]:
    # HTTP 200 says nothing about a single entry, and an entry of which the answer says nothing was not acknowledged.
    outcomes: list[Outcome] = [Transient("the broker's answer does not mention it")] * count
    for success in answer.get("Successful", []):
        outcomes[int(success["Id"])] = Accepted(success.get("MessageId", ""))
    for failed in answer.get("Failed", []):
        outcomes[int(failed["Id"])] = classify_entry(failed["Code"], failed.get("Message", ""))
    return outcomes
