"""Decodes what Postgres sends for a logical replication slot with the plugin `pgoutput`, protocol version 1.

The formats are those of the PostgreSQL manual, "Logical Replication Message Formats" and "Streaming Replication
Protocol". Only what the relay uses is decoded; other messages are skipped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

from event_trio.errors import EventTrioError

# Microseconds since 2000-01-01, as the protocol counts them, are not needed: the server ignores the time of a status.
STATUS = struct.Struct("!cQQQQ?")
KEEPALIVE = struct.Struct("!QQ?")
DATA_HEADER = 24
UNCHANGED = object()
"""Stands for a large value that an update did not change, and that is therefore not sent."""


class UnknownFormat(EventTrioError):
    """The server sent something else than the protocol or the publication allows."""


@dataclass(frozen=True, slots=True)
class Keepalive:
    """The server has decoded everything up to this position, and says whether it wants an answer now."""

    position: int
    reply: bool


@dataclass(frozen=True, slots=True)
class Begin:
    """A committed transaction begins."""

    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The transaction ends; the next one begins behind this position."""

    end: int


@dataclass(frozen=True, slots=True)
class OutboxChange:
    """A row of the outbox as a transaction inserted or updated it."""

    id: int
    subject: str
    sent: bool
    held: bool
    published: bool
    inserted: bool

    @property
    def unsent(self) -> bool:
        """Whether a relay has to send it."""
        return not (self.sent or self.held or self.published)


@dataclass(frozen=True, slots=True)
class LogicalMessage:
    """What `pg_logical_emit_message` wrote; sent only on request."""

    prefix: str
    content: bytes


Message: TypeAlias = Keepalive | Begin | Commit | OutboxChange | LogicalMessage


@dataclass(frozen=True, slots=True)
class _Relation:
    name: str
    columns: tuple[str, ...]


class ChangeDecoder:
    """Decodes the messages of one connection, which describes each table once before its first row."""

    def __init__(self, table: str = "outbox_event") -> None:
        self._table = table
        self._relations: dict[int, _Relation] = {}

    def decode(self, data: bytes) -> Message | None:
        """Return the message; None for one that the relay does not use. Raises UnknownFormat."""
        try:
            return self._decode(data)
        except (struct.error, IndexError, ValueError, KeyError) as error:
            raise UnknownFormat(f"a message of the replication slot cannot be decoded: {error!r}") from error

    def _decode(self, data: bytes) -> Message | None:
        kind = data[:1]
        if kind == b"k":
            position, _, reply = KEEPALIVE.unpack(data[1:18])
            return Keepalive(position, reply)
        if kind != b"w":
            return None
        body = data[1 + DATA_HEADER :]
        kind = body[:1]
        if kind in (b"I", b"U"):
            return self._change(body, inserted=kind == b"I")
        if kind == b"B":
            return Begin(struct.unpack_from("!I", body, 17)[0])
        if kind == b"C":
            return Commit(struct.unpack_from("!Q", body, 10)[0])
        if kind == b"R":
            self._describe(body)
        elif kind == b"M":
            prefix, after = _text(body, 10)
            (length,) = struct.unpack_from("!I", body, after)
            return LogicalMessage(prefix, body[after + 4 : after + 4 + length])
        return None

    def _describe(self, body: bytes) -> None:
        (number,) = struct.unpack_from("!I", body, 1)
        _, after = _text(body, 5)
        name, after = _text(body, after)
        (count,) = struct.unpack_from("!H", body, after + 1)
        after += 3
        columns = []
        for _ in range(count):
            column, after = _text(body, after + 1)
            columns.append(column)
            after += 8
        self._relations[number] = _Relation(name, tuple(columns))

    def _change(self, body: bytes, *, inserted: bool) -> OutboxChange | None:
        relation = self._relations[struct.unpack_from("!I", body, 1)[0]]
        if relation.name != self._table:
            return None
        start = 5
        if body[start : start + 1] in (b"K", b"O"):
            _, start = _row(body, start + 1)
        if body[start : start + 1] != b"N":
            raise UnknownFormat("a change of the outbox has no new row")
        values, _ = _row(body, start + 1)
        row = dict(zip(relation.columns, values, strict=True))
        return OutboxChange(
            id=int(str(row["id"])),
            subject=str(row["subject"]),
            sent=row["sent_at"] is not None,
            held=row["held_at"] is not None,
            published=row["published_at"] is not None,
            inserted=inserted,
        )


def status(position: int, *, reply: bool = False) -> bytes:
    """The message that confirms everything before a position; with `reply`, the server answers with a keepalive."""
    return STATUS.pack(b"r", position, position, position, 0, reply)


def _row(body: bytes, start: int) -> tuple[list[object], int]:
    (count,) = struct.unpack_from("!H", body, start)
    start += 2
    values: list[object] = []
    for _ in range(count):
        kind = body[start : start + 1]
        start += 1
        if kind == b"t":
            (length,) = struct.unpack_from("!I", body, start)
            values.append(body[start + 4 : start + 4 + length].decode())
            start += 4 + length
        elif kind in (b"n", b"u"):
            values.append(None if kind == b"n" else UNCHANGED)
        else:
            raise UnknownFormat(f"a row has a value of the unknown kind {kind!r}")
    return values, start


def _text(body: bytes, start: int) -> tuple[str, int]:
    end = body.index(b"\0", start)
    return body[start:end].decode(), end + 1
