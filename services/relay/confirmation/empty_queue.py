"""When the publish-check queue was last observed empty, in monotonic seconds."""

from __future__ import annotations

# All three counts of SQS must be 0: visible, in flight, and delayed messages.
COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class EmptyQueueObservations:
    """Keeps observations of an empty queue and returns one that is old enough to rely on.

    An observation is a long poll that returned no message (it queries all SQS servers), followed by counts of 0 (so no
    message was in flight or blocked behind one). AWS's counts are accurate only about a minute after a change, so an
    observation counts once it is `settle` seconds old: a message received at that moment has been recorded since.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._settled: float | None = None
        self._latest: float | None = None

    def wanted(self, now: float) -> bool:
        """Return whether another observation is needed."""
        return self._latest is None or now - self._latest >= self._settle

    def observe(self, at: float) -> None:
        """Record that the queue was empty at this time."""
        if self._latest is not None and at - self._latest >= self._settle:
            self._settled, self._latest = self._latest, None
        if self._latest is None:
            self._latest = at

    def since(self, now: float) -> float | None:
        """Return how long ago the queue was certainly empty, in seconds; None if unknown."""
        if self._latest is not None and now - self._latest >= self._settle:
            return now - self._latest
        return now - self._settled if self._settled is not None else None


def is_empty(attributes: dict[str, str]) -> bool:
    """Return whether all counts of the queue are present and 0."""
    return all(attributes.get(name) == "0" for name in COUNTS)
