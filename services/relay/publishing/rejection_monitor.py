"""Tells a bad event from a broker that refuses everything, by what else the broker takes meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

# So many groups refused, and nothing accepted in between: it is more likely that the broker refuses everything.
GROUPS = 5
# CallRejected so often by name, and nothing to compare it with: then the broker is taken at its word.
REPEATS = 3
# A call that was refused so often with nothing in it but one event, and nothing accepted in between.
CALLS = 2
# Who was not refused again for so long is somebody else's affair by now.
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
    """Remembers who was refused, until it is known why. Times are monotonic seconds.

    An event is to blame when it is refused again after another was accepted, or when the broker has refused it by name
    three times. A call refused as a whole names nobody: then only an acceptance in between shows that the broker works.
    """

    def __init__(self) -> None:
        self._rejections: dict[str, _Rejection] = {}
        self._accepted_at = float("-inf")

    def __len__(self) -> int:
        return len(self._rejections)

    def accepted(self, began: float) -> None:
        """Something was accepted of a call that began then: the broker works."""
        self._accepted_at = max(self._accepted_at, began)

    def clear(self, subject: str) -> None:
        """What was to be known of this group's event is known."""
        self._rejections.pop(subject, None)

    def rejected(self, subject: str, event_id: str, reason: str, now: float, *, named: bool) -> bool:
        """This group's event was refused, by name or with its whole call; True when it is to blame."""
        rejection = self._rejections.pop(subject, None)
        if rejection is None or rejection.event_id != event_id:
            rejection = _Rejection(event_id, now, now, reason)
        rejection.at, rejection.reason = now, reason
        rejection.named += named
        rejection.unnamed += not named
        if self._accepted_at > rejection.since or rejection.named >= REPEATS:
            return True
        # The newest last, and the oldest forgotten: it only has to be refused once more.
        self._rejections[subject] = rejection
        if len(self._rejections) > MOST:
            del self._rejections[next(iter(self._rejections))]
        return False

    def broker_problem(self, now: float) -> str | None:
        """Why the broker, rather than the events, is suspected; None while it is not."""
        for subject in [s for s, rejection in self._rejections.items() if rejection.at < now - FORGET_AFTER_SECONDS]:
            del self._rejections[subject]
        unproved = [rejection for rejection in self._rejections.values() if rejection.at >= self._accepted_at]
        if len(unproved) >= GROUPS or any(rejection.unnamed >= CALLS for rejection in unproved):
            return f"the broker refuses what it is sent and accepts nothing: {unproved[-1].reason}"
        return None
