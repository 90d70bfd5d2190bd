"""Distinguishes an invalid event from a broker that rejects everything, by what else the broker accepts."""

from __future__ import annotations

from dataclasses import dataclass

# After rejections of this many groups without an acceptance, the broker is the likely cause.
GROUPS = 5
# After this many rejections of the entry itself, the event is the cause, even if no other was accepted.
REPEATS = 3
# After this many rejections of calls with a single event, without an acceptance, the broker is the likely cause.
CALLS = 2
# A group without another rejection for so long was sent, held, or taken over by another relay.
FORGET_AFTER_SECONDS = 180.0
MOST = 1000


@dataclass(slots=True)
class _Rejection:
    event_id: str
    since: float
    at: float
    reason: str
    named: int = 0
    unnamed: int = 0


class RejectionMonitor:
    """Remembers rejected events until the cause is known. Times are monotonic seconds.

    The event is the cause if it is rejected again after another event was accepted, or if its entry was rejected three
    times. A call rejected as a whole names no entry: then only an acceptance in between shows that the broker works.
    """

    def __init__(self) -> None:
        self._rejections: dict[str, _Rejection] = {}
        self._accepted_at = float("-inf")

    def __len__(self) -> int:
        return len(self._rejections)

    def accepted(self, began: float) -> None:
        """Record that an event of a call that began at this time was accepted, so the broker works."""
        self._accepted_at = max(self._accepted_at, began)

    def clear(self, subject: str) -> None:
        """Forget the rejections of this group's event."""
        self._rejections.pop(subject, None)

    def rejected(self, subject: str, event_id: str, reason: str, now: float, *, named: bool) -> bool:
        """Record a rejection of the entry (`named`) or of its whole call; True if the event is the cause."""
        rejection = self._rejections.pop(subject, None)
        if rejection is None or rejection.event_id != event_id:
            rejection = _Rejection(event_id, now, now, reason)
        rejection.at, rejection.reason = now, reason
        rejection.named += named
        rejection.unnamed += not named
        if self._accepted_at > rejection.since or rejection.named >= REPEATS:
            return True
        # The oldest is forgotten beyond the bound; it only has to be rejected once more.
        self._rejections[subject] = rejection
        if len(self._rejections) > MOST:
            del self._rejections[next(iter(self._rejections))]
        return False

    def broker_problem(self, now: float) -> str | None:
        """Return why the broker rather than an event is the likely cause, or None."""
        if not self._rejections:
            return None
        for subject in [s for s, rejection in self._rejections.items() if rejection.at < now - FORGET_AFTER_SECONDS]:
            del self._rejections[subject]
        unproved = [rejection for rejection in self._rejections.values() if rejection.at >= self._accepted_at]
        if len(unproved) >= GROUPS or any(rejection.unnamed >= CALLS for rejection in unproved):
            return f"the broker rejects everything: {unproved[-1].reason}"
        return None
