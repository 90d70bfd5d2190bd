"""The order service without the outbox: the same endpoint inserts its rows and records no event.

`python -m benchmarks.bare.orders`, with the order service's settings. It is the ceiling of the order endpoint.
"""

from __future__ import annotations

import runpy
from typing import Any
from unittest.mock import patch

from event_trio.envelope import Envelope
from event_trio.outbox.writer import OutboxWriter


class _Silent:
    """A connection that executes nothing."""

    async def execute(self, *_: object, **__: object) -> None:
        """Do nothing."""


def main() -> None:
    """Serve until asked to stop."""
    record: Any = OutboxWriter.record

    async def build_only(writer: OutboxWriter, _: object, *given: object, **options: object) -> Envelope:
        envelope: Envelope = await record(writer, _Silent(), *given, **options)
        return envelope

    with patch.object(OutboxWriter, "record", build_only):
        runpy.run_module("services.order.main", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
