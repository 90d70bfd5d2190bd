"""The messages of pgoutput, built byte by byte as the PostgreSQL manual describes them."""

import struct

import pytest

from services.relay.wal.pgoutput import (
    Begin,
    ChangeDecoder,
    Commit,
    Keepalive,
    LogicalMessage,
    OutboxChange,
    UnknownFormat,
    status,
)
from tests.support.wal_messages import OTHER, OUTBOX, data, insert, relation, row


def described() -> ChangeDecoder:
    decoder = ChangeDecoder()
    assert decoder.decode(relation(OUTBOX, "outbox_event")) is None
    return decoder


def test_an_inserted_event_is_unsent() -> None:
    change = described().decode(insert(OUTBOX, "12", "o-ü", None, None, None))
    assert change == OutboxChange(12, "o-ü", sent=False, held=False, published=False, inserted=True)
    assert change.unsent


@pytest.mark.parametrize("column", range(2, 5))
def test_an_event_that_is_sent_published_or_held_is_not_unsent(column: int) -> None:
    values: list[str | None] = ["12", "o-1", None, None, None]
    values[column] = "2026-01-01 00:00:00+00"
    change = described().decode(insert(OUTBOX, *values))
    assert isinstance(change, OutboxChange)
    assert not change.unsent


@pytest.mark.parametrize(
    "before", [b"", b"K" + row("12", None, None, None, None), b"O" + row("12", "o-1", *[None] * 3)]
)
def test_an_update_has_the_new_row_behind_the_old_one(before: bytes) -> None:
    body = b"U" + struct.pack("!I", OUTBOX) + before + b"N" + row("12", "o-1", "now", None, None)
    change = described().decode(data(body))
    assert change == OutboxChange(12, "o-1", sent=True, held=False, published=False, inserted=False)


def test_transactions_keepalives_and_messages() -> None:
    decoder = ChangeDecoder()
    assert decoder.decode(data(b"B" + struct.pack("!QQI", 5, 0, 700))) == Begin(700)
    assert decoder.decode(data(b"C" + struct.pack("!BQQQ", 0, 5, 6, 0))) == Commit(6)
    assert decoder.decode(b"k" + struct.pack("!QQ?", 8, 0, True)) == Keepalive(8, True)
    emitted = b"M" + struct.pack("!BQ", 1, 5) + b"outbox\0" + struct.pack("!I", 3) + b"abc"
    assert decoder.decode(data(emitted)) == LogicalMessage("outbox", b"abc")


def test_other_tables_and_kinds_are_skipped() -> None:
    decoder = described()
    assert decoder.decode(relation(OTHER, "other", ("id",))) is None
    assert decoder.decode(insert(OTHER, "1")) is None
    assert decoder.decode(data(b"T" + struct.pack("!IBI", 1, 0, OUTBOX))) is None
    assert decoder.decode(data(b"Y")) is None


@pytest.mark.parametrize(
    "broken",
    [
        insert(OTHER, "1", "o-1", None, None, None),  # a table that was not described
        insert(OUTBOX, "1", "o-1"),  # a row of another shape
        insert(OUTBOX, "1", "o-1", None, None, None)[:-20],
        data(b"C"),
        b"k",
    ],
)
def test_what_cannot_be_decoded_is_an_error(broken: bytes) -> None:
    with pytest.raises(UnknownFormat):
        described().decode(broken)


def test_a_publication_without_a_needed_column_is_an_error() -> None:
    decoder = ChangeDecoder()
    decoder.decode(relation(OUTBOX, "outbox_event", ("id", "subject")))
    with pytest.raises(UnknownFormat):
        decoder.decode(insert(OUTBOX, "1", "o-1"))


def test_a_status_confirms_one_position_for_written_flushed_and_applied() -> None:
    assert status(300, reply=True) == b"r" + struct.pack("!QQQQB", 300, 300, 300, 0, 1)
