"""Where a list goes on: an opaque text for the caller, a position for the query."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime


def encode(at: datetime, id: object) -> str:
    """The cursor of a position: a time, and the id that tells apart what happened at the same time."""
    return base64.urlsafe_b64encode(json.dumps([at.isoformat(), str(id)]).encode()).decode().rstrip("=")


def decode(cursor: str) -> tuple[datetime, str]:
    """The position of a cursor, safe to give to the database; raises ValueError for one that was not made here."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        at, id = json.loads(text)
        moment = datetime.fromisoformat(at)
        instant = moment.astimezone(UTC)
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("not a cursor of this list") from error
    if moment.tzinfo is None or not isinstance(id, str) or not (id.isascii() and id.isprintable()):
        raise ValueError("not a cursor of this list")
    return instant, id
