"""Routes for orders: place, read, list, change."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from shared.http import cursor as cursors
from shared.http.openapi import problems
from shared.http.problems import (
    EVENT_REFUSED,
    FORBIDDEN,
    INVALID_REQUEST,
    NOT_FOUND,
    UNAVAILABLE,
    HttpProblem,
    invalid_field,
)
from shared.http.tokens import Role

from ..domain import Action, Order, OrderId, State
from ..schemas import CustomerId, OrderPage, OrderView, PlaceOrder, Reason
from .dependencies import Canceller, Context, Operator, OrdersOf, Placer, Reader, owner
from .problems import TRANSITION_REFUSED

router = APIRouter(prefix="/v1/orders", tags=["orders"])

ETAG = {"ETag": {"description": "The order's version, quoted.", "schema": {"type": "string"}}}
LOCATION = {
    "Location": {"description": "The order's address.", "schema": {"type": "string", "format": "uri-reference"}}
}
READ: dict[int | str, dict[str, Any]] = {**problems(NOT_FOUND, UNAVAILABLE), 200: {"headers": ETAG}}
CHANGE: dict[int | str, dict[str, Any]] = {**READ, **problems(TRANSITION_REFUSED, INVALID_REQUEST, EVENT_REFUSED)}
PLACE: dict[int | str, dict[str, Any]] = {
    **problems(INVALID_REQUEST, EVENT_REFUSED, UNAVAILABLE),
    201: {"headers": {**ETAG, **LOCATION}},
}


@router.post("", status_code=201, summary="Place an order", responses=PLACE)
async def place_order(
    body: PlaceOrder, caller: Placer, orders: OrdersOf, context: Context, request: Request, response: Response
) -> OrderView:
    """A customer places orders for themselves, an operator for anyone."""
    if not caller.has(Role.OPERATOR) and body.customer_id != caller.subject:
        raise HttpProblem(FORBIDDEN, "a customer places orders for themselves only")
    order = await orders.place(body.to_domain(), context)
    response.headers["Location"] = request.app.url_path_for("read_order", order_id=str(order.id))
    return _shown(order, response)


@router.get("", summary="List orders, newest first", responses=problems(INVALID_REQUEST, UNAVAILABLE))
async def list_orders(
    caller: Reader,
    orders: OrdersOf,
    customer_id: Annotated[CustomerId | None, Query(description="Only this customer's.")] = None,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
) -> OrderPage:
    """A customer sees their own orders only, whatever they ask for."""
    try:
        after = _position(cursor) if cursor is not None else None
    except ValueError as error:
        raise invalid_field("query", "cursor", str(error)) from None
    found = await orders.page(owner=owner(caller), customer_id=customer_id, state=state, after=after, limit=limit + 1)
    shown = found[:limit]
    more = cursors.encode(shown[-1].placed_at, shown[-1].id) if len(found) > limit else None
    return OrderPage(items=[OrderView.of(order) for order in shown], next_cursor=more)


@router.get("/{order_id}", summary="Read an order", responses=READ)
async def read_order(order_id: UUID, caller: Reader, orders: OrdersOf, response: Response) -> OrderView:
    """Another customer's order is not found."""
    return _shown(await orders.find(OrderId(order_id), owner=owner(caller)), response)


@router.post("/{order_id}/confirm", summary="Confirm a placed order", responses=CHANGE)
async def confirm_order(
    order_id: UUID, caller: Operator, orders: OrdersOf, context: Context, response: Response
) -> OrderView:
    """placed → confirmed."""
    return _shown(await orders.change(OrderId(order_id), Action.CONFIRM, context), response)


@router.post("/{order_id}/ship", summary="Ship a confirmed order", responses=CHANGE)
async def ship_order(
    order_id: UUID, caller: Operator, orders: OrdersOf, context: Context, response: Response
) -> OrderView:
    """confirmed → shipped."""
    return _shown(await orders.change(OrderId(order_id), Action.SHIP, context), response)


@router.post("/{order_id}/deliver", summary="Record that a shipped order arrived", responses=CHANGE)
async def deliver_order(
    order_id: UUID, caller: Operator, orders: OrdersOf, context: Context, response: Response
) -> OrderView:
    """shipped → delivered."""
    return _shown(await orders.change(OrderId(order_id), Action.DELIVER, context), response)


@router.post("/{order_id}/cancel", summary="Cancel an order that is not shipped", responses=CHANGE)
async def cancel_order(
    order_id: UUID, body: Reason, caller: Canceller, orders: OrdersOf, context: Context, response: Response
) -> OrderView:
    """placed, confirmed or held → cancelled; a customer cancels their own."""
    order = await orders.change(OrderId(order_id), Action.CANCEL, context, owner=owner(caller), reason=body.reason)
    return _shown(order, response)


@router.post("/{order_id}/hold", summary="Hold an order", responses=CHANGE)
async def hold_order(
    order_id: UUID, body: Reason, caller: Operator, orders: OrdersOf, context: Context, response: Response
) -> OrderView:
    """placed or confirmed → held."""
    return _shown(await orders.change(OrderId(order_id), Action.HOLD, context, reason=body.reason), response)


@router.post("/{order_id}/release", summary="Release a held order", responses=CHANGE)
async def release_order(
    order_id: UUID, caller: Operator, orders: OrdersOf, context: Context, response: Response
) -> OrderView:
    """held → the state before the hold."""
    return _shown(await orders.change(OrderId(order_id), Action.RELEASE, context), response)


def _position(cursor: str) -> tuple[datetime, UUID]:
    at, id = cursors.decode(cursor)
    return at, UUID(id)


def _shown(order: Order, response: Response) -> OrderView:
    response.headers["ETag"] = f'"{order.version}"'
    return OrderView.of(order)
