"""Routes that place, read, list and change orders."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from event_trio.http import cursor as cursors
from event_trio.http.conditions import PRECONDITION_FAILED
from event_trio.http.idempotency import IN_USE, REUSED
from event_trio.http.openapi import problems
from event_trio.http.problems import EVENT_REJECTED, FORBIDDEN, INVALID_REQUEST, NOT_FOUND, UNAVAILABLE, HttpProblem
from event_trio.http.timestamp import Timestamp
from event_trio.http.tokens import Role

from ..domain import Action, OrderId, OrderState
from ..repository import OrderFilter
from ..schemas import ChangeReason, CustomerId, OrderPage, OrderView, PlaceOrder
from .dependencies import Canceller, Operator, OrdersDep, Placer, Reader, owner
from .order_changes import OrderChangeDep, OrderPlacementDep, etag
from .problems import INVALID_TRANSITION

router = APIRouter(prefix="/v1/orders", tags=["orders"])


PREVIOUS_CURSOR = "`next_cursor` of the previous page."
ETAG = {"ETag": {"description": "The order's version, quoted.", "schema": {"type": "string"}}}
LOCATION = {
    "Location": {"description": "The URL of the order.", "schema": {"type": "string", "format": "uri-reference"}}
}
READ: dict[int | str, dict[str, Any]] = {**problems(NOT_FOUND, UNAVAILABLE), 200: {"headers": ETAG}}
CHANGE: dict[int | str, dict[str, Any]] = {
    **READ,
    **problems(INVALID_TRANSITION, IN_USE, PRECONDITION_FAILED, INVALID_REQUEST, EVENT_REJECTED, REUSED),
}
PLACE: dict[int | str, dict[str, Any]] = {
    **problems(INVALID_REQUEST, EVENT_REJECTED, REUSED, IN_USE, UNAVAILABLE),
    201: {"headers": {**ETAG, **LOCATION}},
}


@router.post("", status_code=201, summary="Place an order", responses=PLACE, response_model=OrderView)
async def place_order(body: PlaceOrder, caller: Placer, orders: OrderPlacementDep) -> Response:
    """Customers place orders for themselves, operators for any customer."""
    if not caller.has(Role.OPERATOR) and body.customer_id != caller.subject:
        raise HttpProblem(FORBIDDEN, "customers can only place orders for themselves")
    return await orders.place(body.to_domain(), caller)


@router.get("", summary="List orders, newest first", responses=problems(INVALID_REQUEST, UNAVAILABLE))
async def list_orders(
    caller: Reader,
    orders: OrdersDep,
    customer_id: Annotated[CustomerId | None, Query(description="Only orders of this customer.")] = None,
    state: Annotated[OrderState | None, Query(description="Only orders in this state.")] = None,
    placed_from: Annotated[Timestamp | None, Query(description="Only orders placed at this time or later.")] = None,
    placed_to: Annotated[Timestamp | None, Query(description="Only orders placed before this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(pattern=cursors.PATTERN, description=PREVIOUS_CURSOR)] = None,
) -> OrderPage:
    """Customers see only their own orders."""
    after = cursors.decode(cursor) if cursor is not None else None
    filter = OrderFilter(customer_id, state, placed_from, placed_to)
    found = await orders.page(filter, owner=owner(caller), after=after, limit=limit + 1)
    shown = found[:limit]
    more = cursors.encode(shown[-1].placed_at, shown[-1].id) if len(found) > limit else None
    return OrderPage(items=[OrderView.of(order) for order in shown], next_cursor=more)


@router.get("/{order_id}", summary="Read an order", responses=READ)
async def read_order(order_id: UUID, caller: Reader, orders: OrdersDep, response: Response) -> OrderView:
    """An order of another customer is not found."""
    order = await orders.find(OrderId(order_id), owner=owner(caller))
    response.headers["ETag"] = etag(order)
    return OrderView.of(order)


@router.post("/{order_id}/confirm", summary="Confirm a placed order", responses=CHANGE, response_model=OrderView)
async def confirm_order(order_id: UUID, caller: Operator, orders: OrderChangeDep) -> Response:
    """placed → confirmed."""
    return await orders.change(order_id, Action.CONFIRM, caller)


@router.post("/{order_id}/ship", summary="Ship a confirmed order", responses=CHANGE, response_model=OrderView)
async def ship_order(order_id: UUID, caller: Operator, orders: OrderChangeDep) -> Response:
    """confirmed → shipped."""
    return await orders.change(order_id, Action.SHIP, caller)


@router.post(
    "/{order_id}/deliver", summary="Record the delivery of a shipped order", responses=CHANGE, response_model=OrderView
)
async def deliver_order(order_id: UUID, caller: Operator, orders: OrderChangeDep) -> Response:
    """shipped → delivered."""
    return await orders.change(order_id, Action.DELIVER, caller)


@router.post(
    "/{order_id}/cancel", summary="Cancel an order before it is shipped", responses=CHANGE, response_model=OrderView
)
async def cancel_order(order_id: UUID, body: ChangeReason, caller: Canceller, orders: OrderChangeDep) -> Response:
    """placed, confirmed or held → cancelled. Customers can cancel their own orders."""
    return await orders.change(order_id, Action.CANCEL, caller, owner=owner(caller), reason=body.reason)


@router.post("/{order_id}/hold", summary="Hold an order", responses=CHANGE, response_model=OrderView)
async def hold_order(order_id: UUID, body: ChangeReason, caller: Operator, orders: OrderChangeDep) -> Response:
    """placed or confirmed → held. It is a state of the order: its message group is not held, and events are sent."""
    return await orders.change(order_id, Action.HOLD, caller, reason=body.reason)


@router.post("/{order_id}/release", summary="Release a held order", responses=CHANGE, response_model=OrderView)
async def release_order(order_id: UUID, caller: Operator, orders: OrderChangeDep) -> Response:
    """held → the state before the hold."""
    return await orders.change(order_id, Action.RELEASE, caller)
