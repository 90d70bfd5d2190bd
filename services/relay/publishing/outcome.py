"""What became of an entry, or of a whole call to the broker, told from the broker's codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker has the event. That is not yet proof that subscribers will."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Transient:
    """It may work later; the event's group waits."""

    reason: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """Too much was asked for at once; it goes again soon, and fewer calls are in flight. No attempt is burnt."""

    reason: str


@dataclass(frozen=True, slots=True)
class BrokerMisconfigured:
    """CallRejected for what is no event's fault: access, keys, credentials, something missing. No attempt is burnt."""

    reason: str


@dataclass(frozen=True, slots=True)
class PossiblyPoisonous:
    """CallRejected for what it is, and nothing shows yet that the broker would take another: it goes again, alone."""

    reason: str


@dataclass(frozen=True, slots=True)
class Permanent:
    """It will never work as it is; only a person can decide what becomes of the event."""

    reason: str


Outcome: TypeAlias = Accepted | Transient | Throttled | BrokerMisconfigured | PossiblyPoisonous | Permanent


@dataclass(frozen=True, slots=True)
class Answered:
    """The broker answered for every entry, in the order in which they were sent."""

    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class CallRejected:
    """The call was refused as a whole because of something in it; which entry is to blame, nobody says."""

    reason: str
    by_broker: bool = True
    """False when no request could be made of it, so that the broker has no part in it."""


@dataclass(frozen=True, slots=True)
class BrokerOutage:
    """The broker, the way to it or our standing with it is broken: no event is at fault, and no attempt is burnt."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotAttempted:
    """There was no call: what was to be sent was read before it was known who the broker is, and is read again."""


CallOutcome: TypeAlias = Answered | CallRejected | Throttled | BrokerOutage | NotAttempted

LABELS: Mapping[type[CallOutcome], str] = {
    Answered: "answered",
    CallRejected: "rejected",
    Throttled: "throttled",
    BrokerOutage: "outage",
    NotAttempted: "not_attempted",
}

# AWS: API_PublishBatch, Errors, and BatchResultErrorEntry. An entry refused for what it is:
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
# ... and a call refused for what it is, or for an entry in it.
CALL_ERRORS = ENTRY_ERRORS | {
    "BatchRequestTooLong",
    "BatchEntryIdsNotDistinct",
    "InvalidBatchEntryId",
    "TooManyEntriesInBatchRequest",
    "EmptyBatchRequest",
    "RequestEntityTooLarge",
}
# An entry that met a passing trouble of the broker's.
PASSING = frozenset({"InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestTimeout"})
# An entry refused for our standing with the broker, or for what is missing there: every other would be refused, too.
ACCESS_ERRORS = re.compile(
    r"NotFound|Authoriz|AccessDenied|^Forbidden|KMS|Expired|Token|Credential|Signature|Security|OptInRequired"
    r"|UnrecognizedClient|SubscriptionRequired|InvalidAccessKeyId",
    re.IGNORECASE,
)
# Too much at once, in all the ways in which AWS's services say so (SNS, SQS, KMS behind them, and gateways).
THROTTLING = re.compile(
    r"(^|[.#])(KMS)?(Request|EC2)?Throttl(ing|ed)(Exception|Error)?$"
    r"|(^|[.#])(TooManyRequests|RequestLimitExceeded|SlowDown|ProvisionedThroughputExceeded|BandwidthLimitExceeded"
    r"|LimitExceeded|PriorRequestNotComplete)(Exception|Error)?$",
    re.IGNORECASE,
)
TOO_MANY_REQUESTS = 429


def label_of(outcome: CallOutcome) -> str:
    """The outcome of a call as the metrics show it."""
    return LABELS[type(outcome)]


def throttles(code: str, status: int | None = None) -> bool:
    """Whether the broker asks for fewer calls, by its code or by the HTTP status."""
    return status == TOO_MANY_REQUESTS or THROTTLING.search(code) is not None


def classify_entry(code: str, message: str) -> Outcome:
    """The outcome of an entry that came back as failed.

    Codes that are not known are transient: to give up on an event for a word never seen before would lose it.
    """
    reason = f"{code}: {message}" if message else code
    if code in ENTRY_ERRORS:
        return Permanent(reason)
    if throttles(code):
        return Throttled(reason)
    return BrokerMisconfigured(reason) if ACCESS_ERRORS.search(code) else Transient(reason)


def classify_call(code: str, message: str, status: int | None = None) -> CallRejected | Throttled | BrokerOutage:
    """The outcome of a call that failed as a whole; whatever is not plainly the call's fault is an outage."""
    reason = f"{code}: {message}" if message else code
    if throttles(code, status):
        return Throttled(reason)
    return CallRejected(reason) if code in CALL_ERRORS else BrokerOutage(reason)
