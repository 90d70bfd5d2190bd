"""Tells a bad event from a broker that refuses everything, by what else the broker takes meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

# So many groups refused, and nothing accepted in between: it is more likely that the broker refuses everything.
GROUPS = 5
# Refused so often by name, and nothing to compare it with: then the broker is taken at its word.
REPEATS = 3
# A call that was refused so often with nothing in it but one event, and nothing accepted in between.
CALLS = 2
# Who was not refused again for so long is somebody else's affair by now.
FORGET_AFTER_SECONDS = 180.0
MOST = 1000


@dataclass(slots=True)
class _Suspect:
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
        self._suspects: dict[str, _Suspect] = {}
        self._proved_at = float("-inf")

    def __len__(self) -> int:
        return len(self._suspects)

    def proved(self, began: float) -> None:
        """Something was accepted of a call that began then: the broker works."""
        self._proved_at = max(self._proved_at, began)

    def forget(self, subject: str) -> None:
        """What was to be known of this group's event is known."""
        self._suspects.pop(subject, None)

    def refused(self, subject: str, event_id: str, reason: str, now: float, *, named: bool) -> bool:
        """This group's event was refused, by name or with its whole call; True when it is to blame."""
        suspect = self._suspects.pop(subject, None)
        if suspect is None or suspect.event_id != event_id:
            suspect = _Suspect(event_id, now, now, reason)
        suspect.at, suspect.reason = now, reason
        suspect.named += named
        suspect.unnamed += not named
        if self._proved_at > suspect.since or suspect.named >= REPEATS:
            return True
        # The newest last, and the oldest forgotten: it only has to be refused once more.
        self._suspects[subject] = suspect
        if len(self._suspects) > MOST:
            del self._suspects[next(iter(self._suspects))]
        return False

    def doubt(self, now: float) -> str | None:
        """Why the broker, rather than the events, is suspected; None while it is not."""
        for subject in [s for s, suspect in self._suspects.items() if suspect.at < now - FORGET_AFTER_SECONDS]:
            del self._suspects[subject]
        unproved = [suspect for suspect in self._suspects.values() if suspect.at >= self._proved_at]
        if len(unproved) >= GROUPS or any(suspect.unnamed >= CALLS for suspect in unproved):
            return f"the broker refuses what it is sent and accepts nothing: {unproved[-1].reason}"
        return None
