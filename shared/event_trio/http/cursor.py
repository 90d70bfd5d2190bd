"""Cursors of lists: opaque to the caller, a position for the query.

A position is a time, and an id that distinguishes rows of the same time. The patterns describe the form completely, so
that the OpenAPI document allows exactly what a list accepts.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Microseconds in 14 hexadecimal digits last until the year 4253.
PATTERN = r"^[0-9a-f]{14}[0-9a-f]{32}$"
# A text is encoded as its bytes, which are printable ASCII: safe to pass to the database.
TEXT_PATTERN = r"^[0-9a-f]{14}([2-6][0-9a-f]|7[0-9a-e]){1,128}$"


def encode(at: datetime, id: UUID) -> str:
    """The cursor of a position."""
    return _time(at) + id.hex


def decode(cursor: str) -> tuple[datetime, UUID]:
    """The position of a cursor; raises ValueError if it was not created here."""
    return _at(cursor, PATTERN), UUID(cursor[14:])


def encode_text(at: datetime, id: str) -> str:
    """The cursor of a position with a text as id."""
    return _time(at) + id.encode().hex()


def decode_text(cursor: str) -> tuple[datetime, str]:
    """The position of such a cursor; raises ValueError if it was not created here."""
    return _at(cursor, TEXT_PATTERN), bytes.fromhex(cursor[14:]).decode()


def _time(at: datetime) -> str:
    return f"{(at - _EPOCH) // _MICROSECOND:014x}"


def _at(cursor: str, pattern: str) -> datetime:
    # `$` would match before a trailing newline as well.
    if not re.fullmatch(pattern.removesuffix("$"), cursor):
        raise ValueError("not a cursor of this list")
    return _EPOCH + int(cursor[:14], 16) * _MICROSECOND
