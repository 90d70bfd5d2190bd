"""The order service without the outbox: the same endpoint inserts its rows and records no event.

`python -m benchmarks.bare.orders`, with the order service's settings. It is the ceiling of the order endpoint.
"""

from __future__ import annotations

import runpy
from unittest.mock import patch

from services.order import insertion

OUTBOX = "INSERT INTO outbox_event"
BUILT_ONLY = "SELECT $16::text, $17::text, $18::bytea, $19::text FROM claimed"
"""Takes the place of the event's row: the event is built and sent to the database, and not inserted."""


def main() -> None:
    """Serve until asked to stop."""
    order, found, _ = insertion.INSERT.partition(OUTBOX)
    assert found
    with patch.object(insertion, "INSERT", order + BUILT_ONLY):
        runpy.run_module("services.order.main", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
