"""What became of an entry, or of a whole call to the broker, told from the broker's codes."""

from __future__ import annotations

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
class Permanent:
    """It will never work as it is; only a person can decide what becomes of the event."""

    reason: str


Outcome: TypeAlias = Accepted | Transient | Permanent


@dataclass(frozen=True, slots=True)
class Answered:
    """The broker answered for every entry, in the order in which they were sent."""

    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker refused the call as a whole because of something in it; which entry is to blame, it does not say."""

    reason: str


@dataclass(frozen=True, slots=True)
class Outage:
    """The broker, the way to it or our standing with it is broken: no event is at fault, and no attempt is burnt."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unsent:
    """There was no call: what was to be sent was read before it was known who the broker is, and is read again."""


CallOutcome: TypeAlias = Answered | Refused | Outage | Unsent

# AWS: API_PublishBatch, Errors, and BatchResultErrorEntry. An entry refused for what it is:
FAULT_OF_THE_ENTRY = frozenset(
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
FAULT_OF_THE_CALL = FAULT_OF_THE_ENTRY | {
    "BatchRequestTooLong",
    "BatchEntryIdsNotDistinct",
    "InvalidBatchEntryId",
    "TooManyEntriesInBatchRequest",
    "EmptyBatchRequest",
    "RequestEntityTooLarge",
}
# An entry that met a passing trouble of the broker's.
PASSING = frozenset({"InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestTimeout"})


def classify_entry(code: str, message: str) -> Outcome:
    """The outcome of an entry that came back as failed.

    Codes that are not known are transient: to give up on an event for a word never seen before would lose it.
    """
    reason = f"{code}: {message}" if message else code
    return Permanent(reason) if code in FAULT_OF_THE_ENTRY else Transient(reason)


def classify_call(code: str, message: str) -> Refused | Outage:
    """The outcome of a call that failed as a whole; whatever is not plainly the call's fault is an outage."""
    reason = f"{code}: {message}" if message else code
    return Refused(reason) if code in FAULT_OF_THE_CALL else Outage(reason)
