"""Classifies the error codes of the broker: the outcome of an entry, and that of a whole call."""

from __future__ import annotations

import re
from collections.abc import Mapping

from event_trio.broker.outcome import Accepted as Accepted
from event_trio.broker.outcome import Answered as Answered
from event_trio.broker.outcome import BrokerMisconfigured as BrokerMisconfigured
from event_trio.broker.outcome import BrokerOutage as BrokerOutage
from event_trio.broker.outcome import CallOutcome as CallOutcome
from event_trio.broker.outcome import CallRejected as CallRejected
from event_trio.broker.outcome import NotAttempted as NotAttempted
from event_trio.broker.outcome import Outcome as Outcome
from event_trio.broker.outcome import Permanent as Permanent
from event_trio.broker.outcome import PossiblyPoisonous as PossiblyPoisonous
from event_trio.broker.outcome import Throttled as Throttled
from event_trio.broker.outcome import Transient as Transient

LABELS: Mapping[type[CallOutcome], str] = {
    Answered: "answered",
    CallRejected: "rejected",
    Throttled: "throttled",
    BrokerOutage: "outage",
    NotAttempted: "not_attempted",
}

# AWS: API_PublishBatch, Errors, and BatchResultErrorEntry. An entry that is itself invalid:
ENTRY_ERRORS = frozenset(
    {
        "InvalidParameter",
        "InvalidParameterValue",
        "InvalidParameterCombination",
        "ParameterValueInvalid",
        "ValidationError",
        "ValidationException",
        "InvalidMessageContents",
        "MalformedInput",
    }
)
# A call that is invalid, or that has an invalid entry.
CALL_ERRORS = ENTRY_ERRORS | {
    "BatchRequestTooLong",
    "BatchEntryIdsNotDistinct",
    "InvalidBatchEntryId",
    "TooManyEntriesInBatchRequest",
    "EmptyBatchRequest",
    "RequestEntityTooLarge",
}
# A temporary failure of the broker for one entry.
PASSING = frozenset({"InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestTimeout"})
# An entry rejected for access, credentials or a missing resource: any other entry would be rejected as well.
ACCESS_ERRORS = re.compile(
    r"NotFound|Authoriz|AccessDenied|^Forbidden|KMS|Expired|Token|Credential|Signature|Security|OptInRequired"
    r"|UnrecognizedClient|SubscriptionRequired|InvalidAccessKeyId",
    re.IGNORECASE,
)
# The throttling codes of AWS services: SNS, SQS, KMS behind them, and gateways.
THROTTLING = re.compile(
    r"(^|[.#])(KMS)?(Request|EC2)?Throttl(ing|ed)(Exception|Error)?$"
    r"|(^|[.#])(TooManyRequests|RequestLimitExceeded|SlowDown|ProvisionedThroughputExceeded|BandwidthLimitExceeded"
    r"|LimitExceeded|PriorRequestNotComplete)(Exception|Error)?$",
    re.IGNORECASE,
)
TOO_MANY_REQUESTS = 429
# The SDK may quote a whole page that it does not understand.
REASON_CHARACTERS = 300


def label_of(outcome: CallOutcome) -> str:
    """Return the label of a call's outcome in the metrics."""
    return LABELS[type(outcome)]


def throttles(code: str, status: int | None = None) -> bool:
    """Return whether the broker throttles, by its code or by the HTTP status."""
    return status == TOO_MANY_REQUESTS or THROTTLING.search(code) is not None


def classify_entry(code: str, message: str) -> Outcome:
    """Return the outcome of a failed entry.

    Unknown codes are transient, because to give up an event for an unknown code would lose it.
    """
    reason = f"{code}: {message}" if message else code
    if code in ENTRY_ERRORS:
        return Permanent(reason)
    if throttles(code):
        return Throttled(reason)
    return BrokerMisconfigured(reason) if ACCESS_ERRORS.search(code) else Transient(reason)


def classify_call(code: str, message: str, status: int | None = None) -> CallRejected | Throttled | BrokerOutage:
    """Return the outcome of a call that failed as a whole; an unknown code is an outage."""
    reason = f"{code}: {message}" if message else code
    if throttles(code, status):
        return Throttled(reason)
    return CallRejected(reason) if code in CALL_ERRORS else BrokerOutage(reason)
