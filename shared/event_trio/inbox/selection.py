"""Which messages that were put aside are meant, and who does something about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Text, literal

from .states import Status
from .table import deferred_message

Rows: TypeAlias = Sequence[Any]

MOST = 1000
"""Messages that one call changes at the most."""

DEAD = (Status.DEAD,)
PENDING = (Status.WAITING, Status.BLOCKED)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which messages are meant; None does not restrict."""

    event_id: str | None = None
    type: str | None = None
    group: str | None = None
    reason: str | None = None
    after: int | None = None
    """Only those whose id is above this one: what a row's change was asked for already is not asked for again."""
    since: datetime | None = None
    """Only those put aside then or later."""
    until: datetime | None = None
    """Only those put aside before then."""
    status: Status | None = None

    def of(self, consumer: str, statuses: Sequence[Status] = DEAD) -> list[ColumnElement[bool]]:
        """As conditions on the rows of a consumer that are in one of the statuses."""
        table = deferred_message.c
        wanted = {table.event_id: self.event_id, table.type: self.type, table.message_group: self.group}
        wanted |= {table.reason: self.reason, table.status: self.status}
        given = [column == value for column, value in wanted.items() if value is not None]
        if self.after is not None:
            given.append(table.id > self.after)
        if self.since is not None:
            given.append(table.deferred_at >= self.since)
        if self.until is not None:
            given.append(table.deferred_at < self.until)
        # A literal, not a parameter: only then does the partial index of the statuses serve the query.
        dead = literal(str(Status.DEAD), Text, literal_execute=True)
        among = table.status == dead if statuses == DEAD else table.status != dead
        return [table.consumer == consumer, among, *given]


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and why."""

    actor: str
    reason: str
