"""The outcomes of an entry and of a whole call to the broker, classified by the broker's error codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias


class Accepted(NamedTuple):
    """The broker accepted the event. That alone does not prove that subscribers get it."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Transient:
    """A temporary failure; the event's group waits for another attempt."""

    reason: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """Throttled: the event is sent again soon, with fewer calls in flight. Not counted as an attempt."""

    reason: str


@dataclass(frozen=True, slots=True)
class BrokerMisconfigured:
    """Rejected because of access, keys, credentials or a missing resource. Not counted as an attempt."""

    reason: str


@dataclass(frozen=True, slots=True)
class PossiblyPoisonous:
    """Rejected, but the broker may be the cause, as it accepted no other event since: sent again in isolation."""

    reason: str


@dataclass(frozen=True, slots=True)
class Permanent:
    """The event can never be sent as it is; an operator has to decide."""

    reason: str


Outcome: TypeAlias = Accepted | Transient | Throttled | BrokerMisconfigured | PossiblyPoisonous | Permanent


@dataclass(frozen=True, slots=True)
class Answered:
    """The outcome of every entry, in the order of sending."""

    outcomes: tuple[Outcome, ...]
    all_accepted: bool = field(default=False, compare=False)
    """True if every entry was accepted; False if that is not known."""


@dataclass(frozen=True, slots=True)
class CallRejected:
    """The whole call was rejected because of an unknown one of its entries."""

    reason: str
    by_broker: bool = True
    """False if no request could be built, so that the broker was not involved."""


@dataclass(frozen=True, slots=True)
class BrokerOutage:
    """The broker, the network or the credentials do not work. No event is the cause; not counted as an attempt."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotAttempted:
    """No call was made, because the broker was only identified now; its events are read again."""


CallOutcome: TypeAlias = Answered | CallRejected | Throttled | BrokerOutage | NotAttempted

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
