"""A row that no relay can send is held; all other rows are sent."""

import json
from typing import Any

import pytest

from event_trio.broker.aws import Aws
from event_trio.broker.names import BrokerNames
from event_trio.outbox.limits import DEFAULT_BYTES
from event_trio.outbox.schema import LANES
from services.relay.operators.message_groups import MessageGroups
from services.relay.publishing.backlog import NextEventAfter
from services.relay.publishing.outbox_reader import OutboxReader
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.outbox import fill, pool, query
from tests.support.relays import running, settings
from tests.support.waiting import eventually

FINE: dict[str, Any] = {"subject": "bad", "body": b"{}", "attributes": '{"type": "order.placed"}'}
KINDS: dict[str, dict[str, Any]] = {
    "a number": {"attributes": '{"n": 5}'},
    "null for a value": {"attributes": '{"n": null}'},
    "nested": {"attributes": '{"n": {"m": ["x"]}}'},
    "a list": {"attributes": "[1, 2]"},
    "null": {"attributes": "null"},
    "a text": {"attributes": '"type"'},
    "true": {"attributes": "true"},
    "empty value": {"attributes": '{"n": ""}'},
    "empty name": {"attributes": '{"": "x"}'},
    "a name of theirs": {"attributes": '{"AWS.n": "x"}'},
    "eleven": {"attributes": json.dumps({f"a{n}": "x" for n in range(11)})},
    "a long number": {"attributes": '{"n": ' + "9" * 5000 + "}"},
    "deep": {"attributes": "[" * 2000 + "]" * 2000},
    "control character in a value": {"attributes": '{"n": "\\u0001"}'},
    "not UTF-8": {"body": b"\xff\xfe"},
    "cut in a character": {"body": "김".encode()[:2]},
    "empty": {"body": b""},
    "control character": {"body": b"\x01"},
    "NUL": {"body": b"{\x00}"},
    "U+FFFE": {"body": "\ufffe".encode()},
    "too long": {"body": b"x" * (DEFAULT_BYTES + 1)},
    "too long with its attributes": {"body": b"x" * (DEFAULT_BYTES - 5)},
    "long subject": {"subject": "s" * 129},
    "subject with a space": {"subject": "a b"},
    "empty subject": {"subject": ""},
    "subject with a newline": {"subject": "ab\n"},
    "Korean subject": {"subject": "김"},
}
TEN = ["a number", "null for a value", "a list", "empty value", "eleven", "not UTF-8", "empty", "control character",
       "too long", "long subject"]  # fmt: skip

INSERT = """
INSERT INTO outbox_event (event_id, source, subject, sequence, envelope, attributes)
VALUES (gen_random_uuid(), '/tests', $1, $2, $3, $4::jsonb) RETURNING id
"""


async def insert(database: TestDatabase, kind: dict[str, Any], subject: str = "bad", sequence: int = 1) -> int:
    row = {**FINE, "subject": subject, **kind}
    rows = await query(database.url, INSERT, row["subject"], sequence, row["body"], row["attributes"])
    return int(rows[0]["id"])


@pytest.mark.parametrize("kind", list(KINDS))
async def test_each_malformed_row_is_read_as_an_invalid_event_and_no_other_row_is_affected(
    outbox_database: TestDatabase, kind: str
) -> None:
    bad = await insert(outbox_database, KINDS[kind])
    await fill(outbox_database.url, 3)
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        for release in NextEventAfter:
            reading = await OutboxReader(made, release).read(range(LANES), excluded=[])
            assert [event.id for event in reading.events if event.fault] == [bad]
            assert len(reading.events) == 4
        (row,) = await query(outbox_database.url, "SELECT event_id FROM outbox_event WHERE id = $1", bad)
        shown = await MessageGroups(made).event(row["event_id"])
        assert shown is not None, "what is held cannot be looked at"


async def test_malformed_rows_among_a_thousand_valid_ones_are_held_and_the_thousand_are_sent(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    for number, kind in enumerate(TEN):
        await insert(outbox_database, KINDS[kind], subject=f"bad-{number}")
    await fill(outbox_database.url, 250, each=4)
    # A busy LocalStack may take seconds for a call; an outage would not be one of the malformed rows.
    made = settings(
        outbox_database.url_for(OUTBOX_RELAY), aws, topology, call_seconds=20, drain_seconds=20, lease_seconds=30
    )
    async with running(made) as signals:

        async def all_decided() -> bool:
            (row,) = await query(
                outbox_database.url,
                "SELECT count(*) FILTER (WHERE published_at IS NOT NULL) AS published,"
                " count(*) FILTER (WHERE held_at IS NOT NULL AND held_reason <> '') AS held FROM outbox_event",
            )
            assert (row["published"], row["held"]) == (1000, 10)
            return True

        await eventually(all_decided, timeout=60)
        assert not signals.seen("relay.outage")
        assert not signals.seen("loop.failed")


async def test_a_malformed_row_behind_valid_ones_is_held_in_its_turn_and_only_its_group_waits(
    outbox_database: TestDatabase, topology: BrokerNames, aws: Aws
) -> None:
    await fill(outbox_database.url, 1, each=2, prefix="bad")
    await insert(outbox_database, KINDS["a number"], subject="bad-1", sequence=3)
    await insert(outbox_database, {}, subject="bad-1", sequence=4)
    await fill(outbox_database.url, 3)
    async with running(settings(outbox_database.url_for(OUTBOX_RELAY), aws, topology)):

        async def as_it_should_be() -> bool:
            rows = await query(
                outbox_database.url, "SELECT * FROM outbox_event WHERE subject = 'bad-1' ORDER BY sequence"
            )
            assert [bool(row["sent_at"]) for row in rows] == [True, True, False, False]
            assert rows[2]["held_reason"] == "attribute 'n' is not text but of type int"
            assert rows[2]["attempts"] == 1
            others = await query(outbox_database.url, "SELECT 1 FROM outbox_event WHERE sent_at IS NOT NULL")
            return len(others) == 5

        await eventually(as_it_should_be)
