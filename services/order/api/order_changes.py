"""Requests that place or change an order: idempotent, and conditional on the order's version."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response

from event_trio.http.conditions import IfMatch, expected_versions
from event_trio.http.idempotency import IdempotentRequest, IdempotentRequestDep, response_of
from event_trio.http.tokens import Principal
from event_trio.idempotency.guard import IdempotencyGuard
from event_trio.idempotency.keyed_request import StoredResponse
from event_trio.observability.request_context import RequestContext

from ..domain import Action, Order, OrderId
from ..schemas import OrderView
from ..use_cases import NewOrder, Orders
from .dependencies import Context, OrdersDep


class OrderPlacement:
    """A request that places an order."""

    def __init__(
        self, request: Request, orders: Orders, context: RequestContext, repeatable: IdempotentRequest
    ) -> None:
        self._request = request
        self._orders = orders
        self._context = context
        self._repeatable = repeatable

    async def place(self, new: NewOrder, caller: Principal) -> Response:
        """Responds 201 with the order, its URL and its version."""

        async def place(once: IdempotencyGuard[Order]) -> Order:
            return await self._orders.place(new, self._context, once=once)

        def response(order: Order) -> StoredResponse:
            address = self._request.app.url_path_for("read_order", order_id=str(order.id))
            return _response(201, order, Location=str(address))

        return await self._repeatable.respond(caller, place, response)


class OrderChange:
    """A request that changes an order."""

    def __init__(
        self,
        request: Request,
        orders: Orders,
        context: RequestContext,
        repeatable: IdempotentRequest,
    ) -> None:
        self._orders = orders
        self._context = context
        self._repeatable = repeatable
        # The header may be repeated; the form of its values is validated by the declaration of the dependency.
        self._versions = expected_versions(request.headers.getlist("If-Match"))

    async def change(
        self, id: UUID, action: Action, caller: Principal, *, owner: str | None = None, reason: str = ""
    ) -> Response:
        """Responds 200 with the changed order and its version."""

        async def change(once: IdempotencyGuard[Order]) -> Order:
            return await self._orders.change(
                OrderId(id),
                action,
                self._context,
                owner=owner,
                reason=reason,
                versions=self._versions,
                once=once,
            )

        return await self._repeatable.respond(caller, change, lambda order: _response(200, order))


# Functions, because the framework creates an object of a class in another thread.
async def _order_placement(
    request: Request, orders: OrdersDep, context: Context, repeatable: IdempotentRequestDep
) -> OrderPlacement:
    return OrderPlacement(request, orders, context, repeatable)


async def _order_change(
    request: Request, orders: OrdersDep, context: Context, repeatable: IdempotentRequestDep, if_match: IfMatch = None
) -> OrderChange:
    return OrderChange(request, orders, context, repeatable)


OrderPlacementDep = Annotated[OrderPlacement, Depends(_order_placement)]
OrderChangeDep = Annotated[OrderChange, Depends(_order_change)]


def etag(order: Order) -> str:
    """The order's version as a strong ETag."""
    return f'"{order.version}"'


def _response(status: int, order: Order, **headers: str) -> StoredResponse:
    return response_of(OrderView.of(order), status, ETag=etag(order), **headers)
