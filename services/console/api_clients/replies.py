"""What a call of a service results in: an answer, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .processes import ApiProcess

Body = Mapping[str, Any]


class FailureKind(StrEnum):
    """Why a call failed."""

    UNREACHABLE = "unreachable"
    SLOW = "slow"
    UNAVAILABLE = "unavailable"
    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    SIGNED_OUT = "signed_out"
    REJECTED = "rejected"
    UNEXPECTED = "unexpected"


REUSED_KEY = "idempotency-key-reused"
"""How the type of the problem ends that a service answers to a key of another request."""
AWAY = frozenset({FailureKind.UNREACHABLE, FailureKind.SLOW, FailureKind.UNAVAILABLE, FailureKind.UNEXPECTED})


@dataclass(frozen=True, slots=True)
class ApiFailure:
    """Why a call failed. `detail` is the text of the service's problem, in English."""

    kind: FailureKind
    detail: str = ""
    status: int = 0
    problem: Body = field(default_factory=dict)

    @property
    def is_away(self) -> bool:
        """Whether the service did not answer, so that nothing is known about what it would have answered."""
        return self.kind in AWAY

    @property
    def is_slow(self) -> bool:
        """Whether there was no answer in time."""
        return self.kind is FailureKind.SLOW

    @property
    def is_lost(self) -> bool:
        """Whether the connection broke while the request or its answer was on the way."""
        return self.kind is FailureKind.UNEXPECTED and self.status == 0

    @property
    def is_reused_key(self) -> bool:
        """Whether the Idempotency-Key belongs to a change that was made before, with other values."""
        return str(self.problem.get("type") or "").endswith(REUSED_KEY)

    @property
    def may_have_changed(self) -> bool:
        """Whether a change may have been made although its answer is missing. A 503 may be a proxy's."""
        return self.kind in (FailureKind.SLOW, FailureKind.UNEXPECTED) or self.status >= 500


@dataclass(frozen=True, slots=True)
class ApiReply:
    """The reply of a process: either `body`, or `failure`. `body` is empty after a failure."""

    process: ApiProcess
    body: Body = field(default_factory=dict)
    failure: ApiFailure | None = None
    is_repeated: bool = False
    """Whether the change was made at an earlier request with the same Idempotency-Key, and not at this one."""

    @property
    def ok(self) -> bool:
        """Whether there is an answer."""
        return self.failure is None

    @property
    def is_away(self) -> bool:
        """Whether the process did not answer."""
        return self.failure is not None and self.failure.is_away

    @property
    def is_missing(self) -> bool:
        """Whether the process answered that it does not have what was asked for."""
        return self.failure is not None and self.failure.kind is FailureKind.NOT_FOUND


def failed(replies: Sequence[ApiReply]) -> tuple[ApiReply, ...]:
    """One reply of each process that failed to answer, for the notice of a partial page. "Not found" is an answer."""
    found: dict[str, ApiReply] = {}
    for reply in replies:
        if not reply.ok and not reply.is_missing:
            found.setdefault(reply.process.name, reply)
    return tuple(found.values())
