"""Whether a consumer handled all that it deleted, and each group in order: read from its inbox."""

from __future__ import annotations

from benchmarks.suite import databases

NOT_HANDLED = "SELECT count(*) FROM processed_message WHERE outcome <> 'handled'"
# An inbox row is inserted under the lock of its group.
OUT_OF_ORDER = """
SELECT count(*) FROM (
    SELECT processed_at < lag(processed_at) OVER (PARTITION BY source, subject ORDER BY sequence) AS early
    FROM processed_message
) AS handled WHERE early
"""


async def inbox_problems(url: str, name: str) -> list[str]:
    """What is wrong with the rows of an inbox, as text for the page; empty if nothing is."""
    found = {
        "were not handled": await databases.fetch_value(url, NOT_HANDLED),
        "were handled before an earlier one of their group": await databases.fetch_value(url, OUT_OF_ORDER),
    }
    return [f"{name}: {count:g} events {what}" for what, count in found.items() if count]
