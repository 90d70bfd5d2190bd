"""The audit and finished replays are deleted after their retention."""

import pytest

from event_trio.signals import Signals
from services.relay.jobs import audit_pruner
from services.relay.jobs.audit_pruner import AuditPruner
from tests.support.databases import OUTBOX_RELAY, TestDatabase
from tests.support.operators import relay_service
from tests.support.outbox import pool, query
from tests.support.waiting import eventually

ENTRIES = """
INSERT INTO outbox_audit (at, actor, action, reason)
SELECT now() - interval '1 day' * n, 'olga', 'pause', 'because' FROM generate_series(20, 1, -1) n RETURNING 1
"""
REPLAYS = """
INSERT INTO outbox_replay (requested_by, reason, criteria, until_id, finished_at)
VALUES ('olga', 'long ago', '{}', 1, now() - interval '11 days'), ('olga', 'unfinished', '{}', 1, NULL),
       ('olga', 'lately', '{}', 1, now()) RETURNING 1
"""


async def test_old_entries_and_finished_replays_are_deleted_in_steps(outbox_database: TestDatabase) -> None:
    await query(outbox_database.url, ENTRIES)
    await query(outbox_database.url, REPLAYS)
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        pruner = AuditPruner(made, retention_days=9.5, signals=Signals())
        assert await pruner.prune() == 12
        assert await pruner.prune() == 0
    young = "SELECT count(*), min(at) > now() - interval '9.6 days' FROM outbox_audit"
    (left,) = await query(outbox_database.url, young)
    assert tuple(left) == (9, True)
    replays = await query(outbox_database.url, "SELECT reason FROM outbox_replay ORDER BY id")
    assert [row["reason"] for row in replays] == ["unfinished", "lately"]


async def test_a_step_examines_a_bounded_number_of_rows(
    outbox_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await query(outbox_database.url, ENTRIES)
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        pruner = AuditPruner(made, retention_days=9.5, signals=Signals())
        monkeypatch.setattr(audit_pruner, "STEP", 4)
        assert [await pruner.prune() for _ in range(4)] == [4, 4, 3, 0]


async def test_the_running_relay_prunes_the_audit(outbox_database: TestDatabase) -> None:
    await query(outbox_database.url, ENTRIES)

    async def forgotten() -> bool:
        return len(await query(outbox_database.url, "SELECT FROM outbox_audit")) == 2

    async with relay_service(outbox_database, audit_retention_days=2.5):
        await eventually(forgotten)
