"""Changes any number of messages that were put aside, call by call: the service changes only so many at once."""

from collections.abc import Mapping
from time import monotonic, sleep

from tools.cli.client import Answer
from tools.cli.session import Session

MOST = 1000
"""What one call may change (the service's own bound)."""


class BatchChange:
    """One change of all that fits. What fails again meanwhile is not met again: every call begins after the last."""

    def __init__(self, found: Session, verb: str, body: Mapping[str, object], *, at: str = "/v1/dead-letters") -> None:
        self._found = found
        self._path = f"{at}/{verb}"
        self._body = body
        self._asking = 0
        self.done: list[Answer] = []

    def look(self) -> list[Answer]:
        """What would be changed, all of it."""
        met: list[Answer] = []
        cursor: str | None = None
        with self._found.output.progress("counting"):
            while (size := self._next(len(met), self._body.get("limit"))) > 0:
                answer = self._call(size, cursor, dry_run=True)
                met += answer["items"]
                cursor = answer["next_cursor"]
                if len(answer["items"]) < size:
                    break
        return met

    def change(self, total: int) -> None:
        """Change so many, the oldest first; `done` says which so far. A pause keeps the rate from call to call."""
        rate = self._body.get("per_second")
        cursor: str | None = None
        with self._found.output.progress("changing") as progress:
            while True:
                self._asking = self._next(len(self.done), total)
                if not self._asking:
                    return
                began = monotonic()
                answer = self._call(self._asking, cursor, dry_run=False)
                self._asking = 0
                self.done += answer["items"]
                cursor = answer["next_cursor"]
                progress.update(progress.task_ids[0], completed=len(self.done) / total)
                if cursor is None or len(self.done) >= total:
                    return
                if isinstance(rate, float):
                    sleep(max(0.0, began + len(answer["items"]) / rate - monotonic()))

    def left(self, total: int) -> str:
        """How far it came, when it was stopped."""
        unsure = f", and perhaps up to {self._asking:,} more, whose call was not answered" if self._asking else ""
        return f"stopped: {len(self.done):,} of {total:,} were changed{unsure}; the others are as they were"

    def _next(self, met: int, limit: object) -> int:
        return min(MOST, limit - met) if isinstance(limit, int) else MOST

    def _call(self, size: int, cursor: str | None, *, dry_run: bool) -> Answer:
        return self._found.api.post(
            self._path, {**self._body, "limit": size, "cursor": cursor and int(cursor), "dry_run": dry_run}
        )
