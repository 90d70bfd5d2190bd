"""Selects deferred messages, and names the operator who changes them."""

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
"""The most messages that one call changes."""

DEAD = (Status.DEAD,)
PENDING = (Status.WAITING, Status.BLOCKED)


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters messages; None does not restrict."""

    event_id: str | None = None
    type: str | None = None
    group: str | None = None
    reason: str | None = None
    after: int | None = None
    """Only those with a higher id, so that a message that fails again is not changed twice."""
    since: datetime | None = None
    """Only those deferred then or later."""
    until: datetime | None = None
    """Only those deferred before then."""
    status: Status | None = None
    fingerprint: str | None = None
    """Only those that failed alike."""

    def of(self, consumer: str, statuses: Sequence[Status] = DEAD) -> list[ColumnElement[bool]]:
        """As conditions on the rows of a consumer that are in one of the statuses."""
        table = deferred_message.c
        wanted = {table.event_id: self.event_id, table.type: self.type, table.message_group: self.group}
        wanted |= {table.reason: self.reason, table.status: self.status, table.fingerprint: self.fingerprint}
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
    """The operator and the reason."""

    actor: str
    reason: str
