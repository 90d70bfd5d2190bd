"""Changes any number of messages in several calls, because a service changes a limited number in one call."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic, sleep

from tools.cli.client import Answer
from tools.cli.session import Session

CALL_LIMIT = 1000
"""The most messages that one call may change (a limit of the service)."""


class BatchChange:
    """One change of all messages that match.

    Each call starts after the last message of the previous one, so a message that fails again is not changed twice.
    """

    def __init__(
        self, session: Session, verb: str, body: Mapping[str, object], *, at: str = "/v1/dead-letters"
    ) -> None:
        self._session = session
        self._path = f"{at}/{verb}"
        self._body = body
        self._pending = 0
        """Size of the call whose response has not arrived."""
        self.changed: list[Answer] = []

    def preview(self) -> list[Answer]:
        """All messages that match."""
        found: list[Answer] = []
        cursor: str | None = None
        with self._session.output.progress("counting"):
            while (size := _call_size(len(found), self._body.get("limit"))) > 0:
                answer = self._call(size, cursor, dry_run=True)
                found += answer["items"]
                cursor = answer["next_cursor"]
                if len(answer["items"]) < size:
                    break
        return found

    def apply(self, total: int) -> None:
        """Change `total` messages, the oldest first, at the requested rate; `changed` grows with each call."""
        rate = self._body.get("per_second")
        cursor: str | None = None
        with self._session.output.progress("changing") as progress:
            while True:
                self._pending = _call_size(len(self.changed), total)
                if not self._pending:
                    return
                began = monotonic()
                answer = self._call(self._pending, cursor, dry_run=False)
                self._pending = 0
                self.changed += answer["items"]
                cursor = answer["next_cursor"]
                progress.update(progress.task_ids[0], completed=len(self.changed) / total)
                if cursor is None or len(self.changed) >= total:
                    return
                if isinstance(rate, float):
                    sleep(max(0.0, began + len(answer["items"]) / rate - monotonic()))

    def describe_progress(self, total: int) -> str:
        """How many messages were changed before the command stopped."""
        unknown = f", and up to {self._pending:,} more by a call without a response" if self._pending else ""
        return f"stopped after {len(self.changed):,} of {total:,} changes{unknown}; the rest is unchanged"

    def _call(self, size: int, cursor: str | None, *, dry_run: bool) -> Answer:
        return self._session.api.post(
            self._path, {**self._body, "limit": size, "cursor": cursor and int(cursor), "dry_run": dry_run}
        )


def _call_size(done: int, limit: object) -> int:
    return min(CALL_LIMIT, limit - done) if isinstance(limit, int) else CALL_LIMIT
