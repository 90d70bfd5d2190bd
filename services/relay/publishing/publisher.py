"""Publishes batches to the topic and returns the outcome of each entry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

import structlog
from botocore.exceptions import ClientError, ParamValidationError

from event_trio.broker.aws import BROKER_FAULTS, error_code, is_not_found, topic_arn_beside
from event_trio.broker.publisher import OutgoingEvent
from event_trio.broker.queue import Queue
from event_trio.database.connections import DATABASE_FAULTS
from event_trio.error_text import operator_text
from event_trio.errors import BrokerUnavailable
from event_trio.observability.spans import tracer

from .backlog import BATCH_ENTRIES
from .outcome import (
    REASON_CHARACTERS,
    Accepted,
    Answered,
    BrokerOutage,
    CallOutcome,
    CallRejected,
    NotAttempted,
    Outcome,
    Transient,
    classify_call,
    classify_entry,
)
from .tracing import SendSpans

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sns.type_defs import PublishBatchRequestEntryTypeDef, PublishBatchResponseTypeDef


log = structlog.get_logger(__name__)

FAULTS: tuple[type[BaseException], ...] = (*BROKER_FAULTS, *DATABASE_FAULTS)
# Raised by the SDK for a request that it cannot build, or an answer that it cannot parse.
SDK_ERRORS = (LookupError, AttributeError, TypeError, ValueError)
# The ids of entries, and their places in a call.
PLACES = {str(place): place for place in range(BATCH_ENTRIES)}
NOT_MENTIONED = Transient("the broker's answer does not mention it")
# How often an unreadable check queue is tried again.
LOOK_AGAIN_SECONDS = 30.0

_made: ContextVar[list[bool]] = ContextVar("made")
"""Whether the SDK has built a request for the current call."""


class Publisher:
    """Publishes to one topic.

    The topic's ARN is derived from that of the publish-check queue, which has the same account and region, so the relay
    needs neither permission to list topics nor an account number in its settings. While that queue cannot be read,
    events are still published: `find_arn` supplies the ARN. It first waits `check_wait_seconds` for the queue,
    because only its attributes show whether the broker was recreated and must be given the lost events first.
    """

    def __init__(
        self,
        client: SNSClient,
        publish_check: Queue,
        topic: str,
        *,
        call_seconds: float,
        identify: Callable[[str], Awaitable[bool]],
        find_arn: Callable[[], Awaitable[str]] | None = None,
        check_wait_seconds: float = 0.0,
    ) -> None:
        self._client = client
        self._publish_check = publish_check
        self._topic = topic
        self._call_seconds = call_seconds
        self._identify = identify
        self._find_arn = find_arn
        self._check_wait_seconds = check_wait_seconds
        self._arn: str | None = None
        self._identified = False
        self._missed_since: float | None = None
        self._look_again_at = 0.0
        self._identifying = asyncio.Lock()
        # A test double may have no events; then it is unknown whether a request was built.
        events = getattr(getattr(client, "meta", None), "events", None)
        self._observes_requests = events is not None
        if events is not None:
            events.register("before-call.sns.PublishBatch", _note_request)

    def recheck_broker(self) -> None:
        """Identify the broker again before the next call, because it may have been recreated."""
        self._identified = False

    async def publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        """Call PublishBatch with at most ten events, within a deadline. Failures are returned as outcomes."""
        if (tracing := tracer()) is None:
            answer = await self._publish(events)
        else:
            sending = SendSpans(tracing, self._topic, events, time.time_ns())
            with sending.quiet():
                answer = await self._publish(events)
            sending.answered(answer)
        if isinstance(answer, BrokerOutage):
            self.recheck_broker()
        return answer

    async def _publish(self, events: Sequence[OutgoingEvent]) -> CallOutcome:
        try:
            async with asyncio.timeout(self._call_seconds):
                if self._must_identify():
                    return await self._identify_broker()
                answer = await self._call(events, self._arn or "")
        except BrokerUnavailable as error:
            return BrokerOutage(str(error))
        except TimeoutError:
            answer = BrokerOutage(f"no answer within {self._call_seconds} s")
        except FAULTS as error:
            return BrokerOutage(_reason(error))
        if isinstance(answer, BrokerOutage):
            # The broker that answers next may be a recreated one, so its check queue is waited for again.
            self._missed_since = None
        return answer

    async def _call(self, events: Sequence[OutgoingEvent], arn: str) -> CallOutcome:
        made = [False]
        _made.set(made)
        try:
            entries = [_entry(entry_id, event) for entry_id, event in zip(PLACES, events, strict=False)]
            answer = await self._client.publish_batch(TopicArn=arn, PublishBatchRequestEntries=entries)
            return _answered(answer, len(events))
        except (ParamValidationError, UnicodeDecodeError) as error:
            # No request could be built, so the cause is an event, and other groups need not wait.
            return CallRejected(_request_error(error), by_broker=False)
        except ClientError as error:
            code = error_code(error)
            if is_not_found(error):
                return BrokerOutage(f"topic {self._topic} does not exist; deploy the topology")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return classify_call(code, str(error.response.get("Error", {}).get("Message", "")), status)
        except TimeoutError:
            raise
        except SDK_ERRORS as error:
            if made[0]:
                return BrokerOutage(_reason(error))
            return CallRejected(
                _request_error(error) if self._observes_requests else operator_text(error)[:REASON_CHARACTERS],
                by_broker=not self._observes_requests,
            )
        except FAULTS as error:
            return BrokerOutage(_reason(error))

    async def check(self) -> str | None:
        """Return why the topic cannot be used, or None."""
        try:
            await self._client.get_topic_attributes(TopicArn=await self._find_topic())
        except BrokerUnavailable as error:
            return str(error)
        except BROKER_FAULTS as error:
            code, missing = error_code(error), is_not_found(error)
            return (
                f"topic {self._topic} {'does not exist; deploy the topology' if missing else f'cannot be used: {code}'}"
            )
        return None

    def _must_identify(self) -> bool:
        return not self._identified or (self._missed_since is not None and _now() >= self._look_again_at)

    async def _identify_broker(self) -> CallOutcome:
        # Another relay or another call may have identified the recreated broker first. This call then finds it known,
        # but holds events that were read before the replay of lost events was requested, so it must not send them.
        async with self._identifying:
            if not self._must_identify():
                return NotAttempted()
            try:
                self._arn, created = await self._ask_check_queue()
            except BrokerUnavailable as error:
                await self._send_without_check(error)
            else:
                self._missed_since, self._look_again_at = None, 0.0
                self._identified = await self._identify(created)
                if not self._identified:
                    return BrokerOutage("the broker was recreated; lost events are sent first")
        return NotAttempted()

    async def _send_without_check(self, trouble: BrokerUnavailable) -> None:
        if self._find_arn is None:
            raise trouble
        if self._missed_since is None:
            self._missed_since = _now()
        if _now() < self._missed_since + self._check_wait_seconds:
            raise trouble
        self._arn = self._arn or await self._find_arn()
        log.warning(
            "the publish check cannot be read; events are sent without it",
            action="relay.without_check",
            reason=str(trouble),
        )
        self._identified, self._look_again_at = True, _now() + LOOK_AGAIN_SECONDS

    async def _find_topic(self) -> str:
        if self._arn is not None:
            return self._arn
        try:
            arn, _ = await self._ask_check_queue()
        except BrokerUnavailable:
            if self._find_arn is None:
                raise
            return await self._find_arn()
        return arn

    async def _ask_check_queue(self) -> tuple[str, str]:
        """Return the topic's ARN and the queue's time of creation, within half of a call's deadline."""
        try:
            async with asyncio.timeout(self._call_seconds / 2):
                attributes = await self._publish_check.attributes()
        except TimeoutError:
            raise BrokerUnavailable("the publish-check queue does not answer") from None
        return topic_arn_beside(attributes["QueueArn"], self._topic), attributes["CreatedTimestamp"]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]


def _request_error(error: BaseException) -> str:
    """Return why no request could be built, without the library's text, which may quote the event."""
    return f"no request can be built: {operator_text(error)}"[:REASON_CHARACTERS]


def _note_request(**_: object) -> None:
    """Note that the SDK has built the request: later failures are not caused by the events."""
    if (made := _made.get(None)) is not None:
        made[0] = True


def _entry(entry_id: str, event: OutgoingEvent) -> PublishBatchRequestEntryTypeDef:
    return {
        "Id": entry_id,
        "Message": event.body.decode(),
        "MessageGroupId": event.subject,
        "MessageDeduplicationId": event.deduplication_id,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in event.attributes.items()
        },
    }


def _answered(answer: PublishBatchResponseTypeDef, count: int) -> Answered:
    # HTTP 200 does not mean that every entry was accepted. An entry missing from the answer was not acknowledged.
    outcomes: list[Outcome] = [NOT_MENTIONED] * count
    for success in answer.get("Successful", []):
        outcomes[PLACES[success["Id"]]] = Accepted(str(success.get("MessageId", "")))
    for failed in answer.get("Failed", []):
        outcomes[PLACES[failed["Id"]]] = classify_entry(str(failed["Code"]), str(failed.get("Message", "")))
    return Answered(tuple(outcomes), all_accepted=all(type(outcome) is Accepted for outcome in outcomes))
