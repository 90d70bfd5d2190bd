"""When the publish-check queue was last seen with nothing in it, in monotonic seconds: arithmetic only."""

from __future__ import annotations

# Of SQS's counts all three have to be 0: what is visible, what somebody has in flight, what is delayed.
COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class EmptyQueueObservations:
    """Keeps observations that the queue was empty, and tells of one that is old enough to be relied upon.

    An observation is a long poll that found nothing (it asks all of SQS's servers, so nothing could be received) and
    counts of 0 after it (so nothing was in flight or blocked behind what is). AWS's counts become true only about a
    minute after a change. Therefore an observation counts only once it is `settle` seconds old: whoever had received
    a message at that moment, unseen by the counts, has recorded it since.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._settled: float | None = None
        self._latest: float | None = None

    def wanted(self, now: float) -> bool:
        """Whether another observation is worth a call."""
        return self._latest is None or now - self._latest >= self._settle

    def observe(self, at: float) -> None:
        """The queue was empty then."""
        if self._latest is not None and at - self._latest >= self._settle:
            self._settled, self._latest = self._latest, None
        if self._latest is None:
            self._latest = at

    def since(self, now: float) -> float | None:
        """How long ago the queue was surely empty, in seconds; None when that is not known."""
        if self._latest is not None and now - self._latest >= self._settle:
            return now - self._latest
        return now - self._settled if self._settled is not None else None


def is_empty(attributes: dict[str, str]) -> bool:
    """Whether the queue's counts say that nothing is in it; a count that is missing says nothing."""
    return all(attributes.get(name) == "0" for name in COUNTS)
