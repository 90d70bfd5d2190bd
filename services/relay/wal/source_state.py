"""What the write-ahead log is worth as a source at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SourceState(StrEnum):
    """Whether the log is read, by this relay or another one, or why not. The table is read in every state."""

    STARTING = "starting"
    STREAMING = "streaming"
    STANDBY = "standby"
    BEHIND = "behind"
    SLOT_MISSING = "slot_missing"
    SLOT_LOST = "slot_lost"
    SLOT_TAKEN = "slot_taken"
    SLOT_UNSUITABLE = "slot_unsuitable"
    PUBLICATION_MISSING = "publication_missing"
    WAL_LEVEL = "wal_level"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


# The others mean that no relay reads the log, or that this one reads it late.
WORKING = frozenset({SourceState.STARTING, SourceState.STREAMING, SourceState.STANDBY})

MUCH_BYTES = 2**30
"""So much log is kept without a word where the server has no limit (max_slot_wal_keep_size)."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The state, its explanation, and what the slot keeps."""

    state: SourceState
    detail: str | None = None
    kept_bytes: int | None = None
    """Write-ahead log that the server keeps for the slot."""
    unconfirmed_bytes: int | None = None
    """The part of it behind the confirmed position; the rest is kept for transactions that are still open."""
    safe_bytes: int | None = None
    """How much more may be written before the server gives the slot up; None if there is no limit."""
    failover: bool | None = None
    """Whether standbys get a copy of the slot; None before Postgres 17."""

    @property
    def pressure(self) -> str | None:
        """How close the slot is to its limit, or how much it keeps without one; None if that is harmless."""
        kept, safe = self.kept_bytes, self.safe_bytes
        if kept is None or kept <= (MUCH_BYTES if safe is None else safe):
            return None
        limit = "without a limit" if safe is None else f"and gives it up after {_mebibytes(safe)} more"
        return f"the server keeps {_mebibytes(kept)} of log for the slot, {limit}"

    @property
    def trouble(self) -> str | None:
        """Why the table is read instead of the log; None if the log works."""
        return None if self.state in WORKING else f"{self.detail or self.state}; the table is read instead"


def _mebibytes(count: int) -> str:
    return f"{max(0, count) / 2**20:.0f} MiB"
