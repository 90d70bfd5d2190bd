"""The route that lists the reports of other services about an order."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from event_trio.http.openapi import problems
from event_trio.http.problems import NOT_FOUND, UNAVAILABLE

from ..domain import OrderId
from .dependencies import OrdersDep, Reader, owner

router = APIRouter(prefix="/v1/orders/{order_id}/reports", tags=["events"])


class ReportView(BaseModel):
    """An event of another service about the order, and the compensation by the order service."""

    event_id: UUID
    type: str
    cause_type: str = Field(description="The type of the order's event that caused it.")
    reason: str
    compensation: Literal["none", "hold", "cancel"]
    occurred_at: datetime


class ReportList(BaseModel):
    """The newest reports, oldest first."""

    items: list[ReportView]
    next_cursor: None = None


@router.get("", summary="List the reports of other services about an order", responses=problems(NOT_FOUND, UNAVAILABLE))
async def list_order_reports(order_id: UUID, caller: Reader, orders: OrdersDep) -> ReportList:
    """For example that the customer could not be notified, and whether the order was held for it."""
    found = await orders.reports(OrderId(order_id), owner=owner(caller))
    return ReportList(items=[ReportView.model_validate(report, from_attributes=True) for report in found])
