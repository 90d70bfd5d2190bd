"""Where a list goes on: an opaque text for the caller, a position for the query."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from uuid import UUID


def encode(at: datetime, id: UUID) -> str:
    """The cursor of a position."""
    return base64.urlsafe_b64encode(json.dumps([at.isoformat(), str(id)]).encode()).decode().rstrip("=")


def decode(cursor: str) -> tuple[datetime, UUID]:
    """The position of a cursor; raises ValueError for one that was not made here."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        at, id = json.loads(text)
        position = datetime.fromisoformat(at), UUID(id)
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a cursor of this list") from error
    if position[0].tzinfo is None:
        raise ValueError("not a cursor of this list")
    return position
