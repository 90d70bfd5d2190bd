"""Reports of other services about an order: the part of its history that is not a change of the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from .domain import OrderId
from .tables import OrderReportRow


@dataclass(frozen=True, slots=True)
class OrderReport:
    """An event of another service about an order, and the compensation."""

    event_id: UUID
    order_id: OrderId
    type: str
    cause_type: str
    reason: str
    compensation: str
    occurred_at: datetime


class OrderReportRepository:
    """Reports, within the caller's transaction. It never commits."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, report: OrderReport) -> None:
        """Insert a report."""
        await self._session.execute(insert(OrderReportRow).values(**asdict(report)))

    async def of(self, id: OrderId, *, limit: int) -> Sequence[OrderReport]:
        """The newest `limit` reports about an order, oldest first."""
        row = OrderReportRow
        newest = (
            select(row)
            .where(col(row.order_id) == id)
            .order_by(col(row.occurred_at).desc(), col(row.event_id).desc())
            .limit(limit)
        )
        found = [_report(report) for report in (await self._session.execute(newest)).scalars()]
        return found[::-1]


def _report(row: OrderReportRow) -> OrderReport:
    return OrderReport(
        event_id=row.event_id,
        order_id=OrderId(row.order_id),
        type=row.type,
        cause_type=row.cause_type,
        reason=row.reason,
        compensation=row.compensation,
        occurred_at=row.occurred_at,
    )
