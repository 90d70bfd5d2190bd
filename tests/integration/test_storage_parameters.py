"""The maintenance of large tables costs in proportion to what changed."""

from tests.support.databases import TestDatabase, fetch

ANALYZED = """
SELECT c.relname, split_part(option, '=', 2)::float8
FROM pg_class c CROSS JOIN unnest(c.reloptions) AS option
WHERE option LIKE 'autovacuum_analyze_scale_factor=%'
ORDER BY 1
"""


async def test_no_table_is_analyzed_after_a_fixed_number_of_changes(
    orders_database: TestDatabase, notifications_database: TestDatabase
) -> None:
    """ANALYZE reads 30,000 rows of a large table each time: that is more than the changes of 3,000 events cost."""
    for made in (orders_database, notifications_database):
        found = [tuple(row) for row in await fetch(made.url, ANALYZED)]
        assert found == [("outbox_event", 0.05), ("processed_message", 0.05)]
