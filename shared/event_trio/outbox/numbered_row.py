"""An event whose sequence the database assigns, in the statement that inserts it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .writer import EventRow

COLUMNS = "event_id, source, subject, sequence, envelope, attributes"
DIGITS = 20
"""The digits of a sequence in the envelope, so that another sequence changes no length."""
FIELD = b'"sequence":"'


def insert_with_sequence(sequence: str, source: str, *, first: int) -> str:
    """The statement that inserts an event with the sequence of that expression, for each row of `source`.

    Its parameters are those of `values`, counted from `first`. If the expression is null, the statement fails.
    """
    event_id, origin, subject, head, tail, attributes = (f"${number}" for number in range(first, first + 6))
    number = f"convert_to(lpad(({sequence})::text, {DIGITS}, '0'), 'UTF8')"
    return f"""
INSERT INTO outbox_event ({COLUMNS})
SELECT {event_id}::uuid, {origin}::text, {subject}::text, {sequence},
       {head}::bytea || {number} || {tail}::bytea, {attributes}::jsonb
FROM {source}
"""  # noqa: S608 - an expression and a table of the caller's code


def values(row: EventRow) -> tuple[object, ...]:
    """The values of a prepared row, whose own sequence is replaced.

    Raises ValueError if the event refers to its payload, because the reference contains the sequence.
    """
    if row.event.data is None:
        raise ValueError("an event without payload needs its sequence before it is inserted")
    # No earlier field can contain it: in a text of JSON the quotes are escaped, and `data` comes later.
    at = row.body.index(FIELD) + len(FIELD)
    head, tail = row.body[:at], row.body[at + DIGITS :]
    return row.event.id, row.event.source, row.event.subject, head, tail, json.dumps(dict(row.attributes))
