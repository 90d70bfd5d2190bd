"""Messages of pgoutput, built byte by byte as the PostgreSQL manual describes them."""

import struct

COLUMNS = ("id", "subject", "sent_at", "published_at", "held_at")
OUTBOX, OTHER = 16400, 16500
XID = 700


def data(body: bytes) -> bytes:
    return b"w" + struct.pack("!QQQ", 7, 9, 0) + body


def relation(number: int, name: str, columns: tuple[str, ...] = COLUMNS) -> bytes:
    described = b"".join(b"\x01" + column.encode() + b"\0" + struct.pack("!Ii", 20, -1) for column in columns)
    return data(
        b"R"
        + struct.pack("!I", number)
        + b"public\0"
        + name.encode()
        + b"\0d"
        + struct.pack("!H", len(columns))
        + described
    )


def row(*values: str | None) -> bytes:
    found = b"".join(
        b"n" if value is None else b"t" + struct.pack("!I", len(value.encode())) + value.encode() for value in values
    )
    return struct.pack("!H", len(values)) + found


def insert(number: int, *values: str | None) -> bytes:
    return data(b"I" + struct.pack("!I", number) + b"N" + row(*values))


def outbox() -> bytes:
    """The description of the outbox."""
    return relation(OUTBOX, "outbox_event")


def begin(xid: int = XID) -> bytes:
    """A transaction begins."""
    return data(b"B" + struct.pack("!QQI", 5, 0, xid))


def inserted(event_id: str, subject: str) -> bytes:
    """An unsent event."""
    return insert(OUTBOX, event_id, subject, None, None, None)


def commit(end: int) -> bytes:
    """The transaction ends."""
    return data(b"C" + struct.pack("!BQQQ", 0, 5, end, 0))


def keepalive(position: int, *, reply: bool = False) -> bytes:
    """The server tells how far it is."""
    return b"k" + struct.pack("!QQ?", position, 0, reply)
