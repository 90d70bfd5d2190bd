"""Routes that list an order's events and their progress."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from event_trio.http.openapi import problems
from event_trio.http.problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE

from ..domain import OrderId
from ..schemas import OrderEventPage, OrderEventView
from .dependencies import OrdersDep, Reader, owner
from .links import EventLinksDep

router = APIRouter(prefix="/v1/orders/{order_id}/events", tags=["events"])

RESPONSES = problems(NOT_FOUND, INVALID_REQUEST, UNAVAILABLE)

LARGEST_SEQUENCE = 2**31 - 1


@router.get("", summary="List an order's events", responses=RESPONSES)
async def list_order_events(
    order_id: UUID,
    caller: Reader,
    orders: OrdersDep,
    links: EventLinksDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: Annotated[int, Query(ge=0, le=LARGEST_SEQUENCE, description="`next_cursor` of the previous page.")] = 0,
) -> OrderEventPage:
    """In the order of their sequence, from the order's history. Times are null after the outbox pruned the event."""
    found = await orders.events(OrderId(order_id), after=cursor, limit=limit + 1, owner=owner(caller))
    shown = found[:limit]
    more = str(shown[-1].sequence) if len(found) > limit else None
    items = [OrderEventView.of(event, links.of(order_id, event.id, caller)) for event in shown]
    return OrderEventPage(items=items, next_cursor=more)


@router.get("/{sequence}", summary="Read one event of an order", responses=RESPONSES)
async def read_order_event(
    order_id: UUID,
    sequence: Annotated[int, Path(ge=1, le=LARGEST_SEQUENCE)],
    caller: Reader,
    orders: OrdersDep,
    links: EventLinksDep,
) -> OrderEventView:
    """The order's event with this sequence; the first is 1."""
    event = await orders.event(OrderId(order_id), sequence, owner=owner(caller))
    return OrderEventView.of(event, links.of(order_id, event.id, caller))
