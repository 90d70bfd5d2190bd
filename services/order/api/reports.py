"""Route for what others reported about an order."""

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
    """Something that another service stated about the order, and what the order service did about it."""

    event_id: UUID
    type: str
    cause_type: str = Field(description="The type of the order's event that it is about.")
    reason: str
    compensation: Literal["none", "hold", "cancel"]
    occurred_at: datetime


class ReportList(BaseModel):
    """The newest reports, oldest first."""

    items: list[ReportView]
    next_cursor: None = None


@router.get("", summary="List what others reported about an order", responses=problems(NOT_FOUND, UNAVAILABLE))
async def list_order_reports(order_id: UUID, caller: Reader, orders: OrdersDep) -> ReportList:
    """For instance that its customer could not be notified, and whether the order was held for that."""
    found = await orders.reports(OrderId(order_id), owner=owner(caller))
    return ReportList(items=[ReportView.model_validate(report, from_attributes=True) for report in found])
