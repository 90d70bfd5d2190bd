"""The benchmarks that nobody runs every day still run: one short round of each that needs no broker."""

from benchmarks.pruning import AT_REST, Load, fill, publish
from tests.support.databases import TestDatabase
from tests.support.outbox import query


async def test_a_short_run_of_the_pruning_benchmark_comes_to_its_end(outbox_database: TestDatabase) -> None:
    load = Load(events=200, groups=20, stock=100)
    await fill(outbox_database.url, load)
    run = await publish(outbox_database.url, load, AT_REST)
    assert run.rate > 0
    assert run.pruned == 0
    rows = await query(outbox_database.url, "SELECT 1 FROM outbox_event WHERE published_at IS NULL")
    assert rows == []
