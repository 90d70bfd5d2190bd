"""The outcomes of an event and of a whole call to the broker, as every publisher returns them."""

from __future__ import annotations

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
    """Rejected, but the broker may be the cause, as it accepted no other event since: sent again in isolation.

    The relay concludes it from several outcomes; a publisher does not return it.
    """

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
