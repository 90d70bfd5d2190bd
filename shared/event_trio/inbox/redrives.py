"""Redrives of any number of dead letters: requested, carried out in steps, observed, stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from ..errors import EventTrioError
from ..idempotency.guard import NO_GUARD, IdempotencyGuard
from ..idempotency.transactions import session_fetch
from ..lifecycle import Waker
from .audit import record_actions
from .redriving import make_due
from .selection import DEAD, By, Rows, Selection
from .states import Status
from .table import deferred_message, redrive

COUNTED = 100_000
"""Counting stops at so many messages."""
STEP = 50
"""The most messages that one transaction makes due."""
BEHIND_SECONDS = 1.0
"""A redrive with a rate makes up for so much lost time at once."""
SLOWEST = 0.001
"""The lowest rate, in messages a second. A lower one could name a time after the last that a date can have."""
TIMES = ("since", "until")


class RedriveNotFound(EventTrioError):
    """There is no such redrive."""


class NothingToRedrive(EventTrioError):
    """No dead letter matches."""


class RedriveFinished(EventTrioError):
    """The redrive has finished or was stopped."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The dead letters that match; counts stop at `COUNTED`."""

    messages: int
    message_groups: int
    last_id: int


@dataclass(frozen=True, slots=True)
class RedriveProgress:
    """A redrive, and what became of its messages. `waiting` are not handled yet, `dead` are dead letters again."""

    row: Any
    waiting: int
    dead: int


class Redrives:
    """The redrives of one consumer. A change that is made `once` behaves as those of `DeadLetters`."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], consumer: str) -> None:
        self._sessions = sessions
        self._consumer = consumer
        self.waker = Waker()
        """Wakes the loop that carries them out, if it runs in this process."""

    async def choose(self, selection: Selection) -> Chosen:
        """The dead letters that a redrive would take."""
        async with self._sessions() as session:
            return await self._choose(session, selection)

    async def request(
        self, selection: Selection, by: By, *, per_second: float | None, once: IdempotencyGuard[Any] = NO_GUARD
    ) -> Any:
        """Request a redrive of the dead letters that match now; returns its row. Raises NothingToRedrive."""
        async with self._sessions.begin() as session:
            await once.claim(session_fetch(session))
            chosen = await self._choose(session, selection)
            if not chosen.messages:
                raise NothingToRedrive
            asked = await session.execute(
                insert(redrive)
                .values(
                    consumer=self._consumer,
                    selection=_to_json(selection),
                    per_second=per_second,
                    requested_by=by.actor,
                    reason=by.reason,
                    chosen=chosen.messages,
                    until_id=chosen.last_id,
                )
                .returning(*redrive.columns)
            )
            row = asked.one()
            await once.keep(session_fetch(session), row)
        self.waker.wake()
        return row

    async def page(self, *, before: int | None, limit: int) -> Rows:
        """The newest first; `before` is the id of the last one already seen."""
        query = select(redrive).where(redrive.c.consumer == self._consumer)
        if before is not None:
            query = query.where(redrive.c.id < before)
        async with self._sessions() as session:
            return (await session.execute(query.order_by(redrive.c.id.desc()).limit(limit))).all()

    async def progress(self, id: int) -> RedriveProgress:
        """One redrive, and how many of its messages are left. Raises RedriveNotFound."""
        table = deferred_message.c
        left = select(
            func.count().filter(table.status != Status.DEAD).label("waiting"),
            func.count().filter(table.status == Status.DEAD).label("dead"),
        ).where(table.consumer == self._consumer, table.redrive_id == id)
        async with self._sessions() as session:
            row = (await session.execute(self._one(id))).first()
            if row is None:
                raise RedriveNotFound
            counts = (await session.execute(left)).one()
        return RedriveProgress(row, counts.waiting, counts.dead)

    async def stop(self, id: int, by: By, *, once: IdempotencyGuard[Any] = NO_GUARD) -> Any:
        """Make no more messages due; those that are due run. Returns the row; raises RedriveNotFound, RedriveFinished.

        It waits for a step in progress.
        """
        async with self._sessions.begin() as session:
            await once.claim(session_fetch(session))
            row = (await session.execute(self._one(id).with_for_update())).first()
            if row is None:
                raise RedriveNotFound
            if row.finished_at is not None:
                raise RedriveFinished
            now = func.clock_timestamp()
            stopped = await session.execute(
                update(redrive)
                .where(redrive.c.id == id)
                .values(finished_at=now, stopped_at=now, stopped_by=by.actor, stopped_reason=by.reason)
                .returning(*redrive.columns)
            )
            row = stopped.one()
            await once.keep(session_fetch(session), row)
        return row

    async def step(self) -> float | None:
        """Make the next messages of a redrive due, and record that; returns the seconds until the next step.

        None means that no redrive is unfinished, or that other processes carry out all of them.
        """
        table = redrive.c
        async with self._sessions.begin() as session:
            row = (
                await session.execute(
                    select(redrive, func.clock_timestamp().label("now"))
                    .where(table.consumer == self._consumer, table.finished_at.is_(None))
                    .order_by(table.next_at)
                    .limit(1)
                    .with_for_update(skip_locked=True)
                )
            ).first()
            if row is None:
                return None
            if row.next_at > row.now:
                early: timedelta = row.next_at - row.now
                return early.total_seconds()
            return await self._take(session, row)

    async def _take(self, session: AsyncSession, row: Any) -> float:
        """Make messages due; returns the seconds until the next step."""
        start: datetime = max(row.next_at, row.now - timedelta(seconds=BEHIND_SECONDS))
        gap = 0.0 if row.per_second is None else 1.0 / max(SLOWEST, row.per_second)
        room = STEP if not gap else min(STEP, 1 + int((row.now - start).total_seconds() / gap))
        table = deferred_message.c
        query = (
            select(table.id)
            .where(*_of_json(row.selection).of(self._consumer, DEAD))
            .where(table.id > row.after_id, table.id <= row.until_id)
            .order_by(table.id)
            .limit(room)
        )
        ids = (await session.scalars(query)).all()
        # Due at once, without a gap: a later message of the group that another redrive takes cannot be due before it.
        due = await make_due(session, ids, gap=0.0, since=row.now, redrive=row.id) if ids else []
        if due:
            await record_actions(session, self._consumer, "redrive", due, By(row.requested_by, row.reason))
        is_last = len(ids) < room
        following = start + timedelta(seconds=gap * len(due))
        await session.execute(
            update(redrive)
            .where(redrive.c.id == row.id)
            .values(
                after_id=ids[-1] if ids else row.after_id,
                redriven=row.redriven + len(due),
                next_at=following,
                finished_at=func.clock_timestamp() if is_last else None,
            )
        )
        rest: timedelta = following - row.now
        return max(0.0, rest.total_seconds())

    async def _choose(self, session: AsyncSession, selection: Selection) -> Chosen:
        table = deferred_message.c
        among = (
            select(table.id, table.message_group)
            .where(*selection.of(self._consumer, DEAD))
            .order_by(table.id)
            .limit(COUNTED)
            .subquery()
        )
        counts = select(
            func.count(), func.count(among.c.message_group.distinct()), func.coalesce(func.max(among.c.id), 0)
        )
        messages, groups, last = (await session.execute(counts)).one()
        if messages == COUNTED:
            last = (await session.scalars(select(func.max(table.id)).where(table.consumer == self._consumer))).one()
        return Chosen(messages, groups, last)

    def _one(self, id: int) -> Any:
        return select(redrive).where(redrive.c.consumer == self._consumer, redrive.c.id == id)


def _to_json(selection: Selection) -> dict[str, str]:
    given = {name: value for name, value in asdict(selection).items() if value is not None}
    return {name: value.isoformat() if name in TIMES else str(value) for name, value in given.items()}


def _of_json(found: Mapping[str, str]) -> Selection:
    times = {name: datetime.fromisoformat(found[name]) for name in TIMES if name in found}
    return Selection(
        found.get("event_id"),
        found.get("type"),
        found.get("group"),
        found.get("reason"),
        since=times.get("since"),
        until=times.get("until"),
        fingerprint=found.get("fingerprint"),
    )
