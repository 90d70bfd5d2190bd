"""The lane of a message group, as the database computes it."""

from __future__ import annotations

import hashlib

from event_trio.outbox.schema import LANES


def lane_of(subject: str) -> int:
    """Return the lane of a group, as the column `lane` has it."""
    return hashlib.md5(subject.encode(), usedforsecurity=False).digest()[0] % LANES
