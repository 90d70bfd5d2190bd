"""Routes for orders: place, read, list, change."""

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


NEXT = "`next_cursor` of the page before."
ETAG = {"ETag": {"description": "The order's version, quoted.", "schema": {"type": "string"}}}
LOCATION = {
    "Location": {"description": "The order's address.", "schema": {"type": "string", "format": "uri-reference"}}
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
    """A customer places orders for themselves, an operator for anyone."""
    if not caller.has(Role.OPERATOR) and body.customer_id != caller.subject:
        raise HttpProblem(FORBIDDEN, "a customer places orders for themselves only")
    return await orders.place(body.to_domain(), caller)


@router.get("", summary="List orders, newest first", responses=problems(INVALID_REQUEST, UNAVAILABLE))
async def list_orders(
    caller: Reader,
    orders: OrdersDep,
    customer_id: Annotated[CustomerId | None, Query(description="Only this customer's.")] = None,
    state: Annotated[OrderState | None, Query(description="Only those in this state.")] = None,
    placed_from: Annotated[Timestamp | None, Query(description="Only those placed then or later.")] = None,
    placed_to: Annotated[Timestamp | None, Query(description="Only those placed before then.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(pattern=cursors.PATTERN, description=NEXT)] = None,
) -> OrderPage:
    """A customer sees their own orders only, whatever they ask for."""
    after = cursors.decode(cursor) if cursor is not None else None
    wanted = OrderFilter(customer_id, state, placed_from, placed_to)
    found = await orders.page(wanted, owner=owner(caller), after=after, limit=limit + 1)
    shown = found[:limit]
    more = cursors.encode(shown[-1].placed_at, shown[-1].id) if len(found) > limit else None
    return OrderPage(items=[OrderView.of(order) for order in shown], next_cursor=more)


@router.get("/{order_id}", summary="Read an order", responses=READ)
async def read_order(order_id: UUID, caller: Reader, orders: OrdersDep, response: Response) -> OrderView:
    """Another customer's order is not found."""
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
    "/{order_id}/deliver", summary="Record that a shipped order arrived", responses=CHANGE, response_model=OrderView
)
async def deliver_order(order_id: UUID, caller: Operator, orders: OrderChangeDep) -> Response:
    """shipped → delivered."""
    return await orders.change(order_id, Action.DELIVER, caller)


@router.post(
    "/{order_id}/cancel", summary="Cancel an order that is not shipped", responses=CHANGE, response_model=OrderView
)
async def cancel_order(order_id: UUID, body: ChangeReason, caller: Canceller, orders: OrderChangeDep) -> Response:
    """placed, confirmed or held → cancelled; a customer cancels their own."""
    return await orders.change(order_id, Action.CANCEL, caller, owner=owner(caller), reason=body.reason)


@router.post("/{order_id}/hold", summary="Hold an order", responses=CHANGE, response_model=OrderView)
async def hold_order(order_id: UUID, body: ChangeReason, caller: Operator, orders: OrderChangeDep) -> Response:
    """placed or confirmed → held: a state of the order, whose events go all the same; it holds no message group."""
    return await orders.change(order_id, Action.HOLD, caller, reason=body.reason)


@router.post("/{order_id}/release", summary="Release a held order", responses=CHANGE, response_model=OrderView)
async def release_order(order_id: UUID, caller: Operator, orders: OrderChangeDep) -> Response:
    """held → the state before the hold."""
    return await orders.change(order_id, Action.RELEASE, caller)
