"""A short run of the benchmarks that need no broker."""

from benchmarks.pruning import IDLE_HOURS, Load, fill, publish
from tests.support.databases import TestDatabase
from tests.support.outbox import query


async def test_the_pruning_benchmark_runs(outbox_database: TestDatabase) -> None:
    load = Load(events=200, groups=20, stock=100)
    await fill(outbox_database.url, load)
    run = await publish(outbox_database.url, load, IDLE_HOURS)
    assert run.rate > 0
    assert run.pruned == 0
    rows = await query(outbox_database.url, "SELECT 1 FROM outbox_event WHERE published_at IS NULL")
    assert rows == []
