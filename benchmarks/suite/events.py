"""Events for benchmarks: the same body for the measured part and for the bare loop beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel

from event_trio.consumer import EventPayload
from event_trio.envelope import Envelope, sequence_text, uuid7

SOURCE = "/benchmark"
LINE = {"sku": "TEA-EARL-GREY-100", "quantity": 2, "unit_price": "12.50"}


class LineMeasured(BaseModel):
    """One line of an order."""

    sku: str
    quantity: int
    unit_price: str


class OrderMeasured(EventPayload):
    """An order of some lines."""

    type: ClassVar[str] = "order.measured"

    customer_id: str
    lines: list[LineMeasured]


@dataclass(frozen=True, slots=True)
class MadeEvent:
    """An event as it goes on the wire."""

    event_id: UUID
    group: str
    sequence: int
    body: bytes


def make_events(count: int, groups: int, lines: int, *, prefix: str) -> Iterator[MadeEvent]:
    """Events 1, 2, 3, ... of each group, in turns through the groups."""
    data = {"customer_id": "customer-1", "lines": [LINE] * lines}
    for index in range(count):
        group, sequence, event_id = f"{prefix}-{index % groups}", index // groups + 1, uuid7()
        envelope = Envelope(
            id=event_id,
            source=SOURCE,
            type=OrderMeasured.type,
            subject=group,
            time=datetime.now(UTC),
            dataschema=f"https://schemas.example.com/{OrderMeasured.type}/1",
            partitionkey=group,
            sequence=sequence_text(sequence),
            correlationid="benchmark",
            data=data,
        )
        yield MadeEvent(event_id, group, sequence, envelope.to_bytes())
