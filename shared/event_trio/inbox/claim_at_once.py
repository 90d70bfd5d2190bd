"""Claims an event on the driver's connection in one round trip, with the writes of its handler or before them.

One statement is executed twice, and sent as one: at first it only locks the group, then it only inserts the inbox row
and writes. Each execution has a snapshot of its own, so the second one sees what the previous holder of the lock
committed. (In one execution, or in a function that is not VOLATILE, the snapshot would be older than the lock.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .claim import BLOCKED, ROW, STALE, inbox_row, numbered
from .states import InboxOutcome

if TYPE_CHECKING:
    from ..database.table_sets import AsyncpgConnection
    from .delivery import Delivery

LOCK_OR_CLAIM = f"""
-- claim_at_once: lock the group of an event, or insert its inbox row unless it is processed or its group is blocked
WITH locked AS (
    SELECT pg_advisory_xact_lock(hashtextextended(%(consumer)s::text || chr(31) || %(message_group)s::text, 0))
    WHERE %(locks)s::boolean
), inbox_row AS (
    INSERT INTO processed_message (consumer, event_id, message_id, source, subject, sequence, type, time, outcome)
    SELECT %(consumer)s::text, %(event_id)s::text, %(message_id)s::text, %(source)s::text, %(subject)s::text,
           %(sequence)s::bigint, %(type)s::text, %(time)s::timestamptz,
           CASE WHEN {STALE} THEN %(stale)s::text ELSE %(new)s::text END
    WHERE NOT %(locks)s::boolean AND NOT {BLOCKED}
    ON CONFLICT (consumer, event_id) DO NOTHING
    RETURNING outcome
), claimed AS (
    SELECT outcome FROM inbox_row WHERE outcome IN ('handled', 'handled_stale')
)"""  # noqa: S608 - constants of this package
RESULT = """
SELECT outcome FROM inbox_row UNION ALL SELECT NULL FROM locked
"""
PARAMETERS = (*ROW, "locks")
WRITES_ALONE = """
-- write: what a handler writes in the transaction of an event that is claimed already
WITH claimed AS (SELECT %(outcome)s::text AS outcome)"""
SOURCE_WORDS = r"\b(?:from|join|using)\s+(?:only\s+)?"


class Writes:
    """What a handler writes: data-modifying statements, by name, and the values of their parameters.

    They are executed as one statement, together with the insert of the inbox row, and commit with it in one round trip.
    Each reads `claimed` (one row, with the column `outcome`) or the result of an earlier one (`RETURNING`), directly:
    `INSERT INTO t (a) SELECT $1 FROM claimed`, `UPDATE t SET a = $1 FROM claimed WHERE ...`. `claimed` has no row when
    nothing may be written. All of them see the database as it was before the first one.

    Raises ConfigurationError when one of them reads neither, because it would be executed for every delivery.
    """

    __slots__ = ("arguments", "statements")

    def __init__(self, statements: Mapping[str, str], *arguments: object) -> None:
        self.statements = tuple(statements.items())
        self.arguments = arguments
        _ensure_guarded(self.statements)


async def claim_at_once(
    connection: AsyncpgConnection,
    delivery: Delivery,
    *,
    new: InboxOutcome,
    stale: InboxOutcome,
    writes: Writes | None = None,
) -> InboxOutcome | None:
    """Claim the event, and write if it is new or handled though stale; returns the outcome of its inbox row.

    None means that the event was processed, or that its group is blocked: then nothing was written. In a transaction
    the lock and the row belong to it; without one both statements are a transaction. READ COMMITTED is required.
    """
    statement = _claiming(writes.statements, len(writes.arguments)) if writes is not None else _claiming((), 0)
    values, row = (writes.arguments if writes is not None else ()), inbox_row(delivery, new, stale)
    # Large values are sent once: the execution that locks needs none of them.
    rows = await connection.fetchmany(statement, [(*(None for _ in values), *row, True), (*values, *row, False)])
    outcome = rows[-1]["outcome"]
    return None if outcome is None else InboxOutcome(outcome)


async def write(connection: AsyncpgConnection, writes: Writes, outcome: InboxOutcome) -> None:
    """Write in the transaction of an event that is claimed already."""
    if writes.statements:
        statement = _writing(writes.statements, len(writes.arguments))
        await connection.execute(statement, *writes.arguments, str(outcome))


@lru_cache(maxsize=256)
def _claiming(statements: tuple[tuple[str, str], ...], arguments: int) -> str:
    return numbered(LOCK_OR_CLAIM, PARAMETERS, after=arguments) + _joined(statements) + RESULT


@lru_cache(maxsize=256)
def _writing(statements: tuple[tuple[str, str], ...], arguments: int) -> str:
    return numbered(WRITES_ALONE, ("outcome",), after=arguments) + _joined(statements) + "\nSELECT\n"


def _joined(statements: tuple[tuple[str, str], ...]) -> str:
    return "".join(f", {name} AS (\n{statement}\n)" for name, statement in statements)


@lru_cache(maxsize=256)
def _ensure_guarded(statements: tuple[tuple[str, str], ...]) -> None:
    known = ["claimed"]
    for name, statement in statements:
        if not re.search(rf"{SOURCE_WORDS}(?:{'|'.join(known)})\b", statement, re.IGNORECASE):
            raise ConfigurationError(
                f"the statement {name!r} reads neither `claimed` nor an earlier statement, so it would be executed for "
                "an event that was processed before"
            )
        known.append(re.escape(name))
