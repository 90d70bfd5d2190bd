"""How a request changes an order: once, however often it comes, and only the version that its caller saw."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response

from shared.http.conditions import IfMatch, expected_versions
from shared.http.idempotency import Answer, IdempotencyKey, Repeated, attempt_of
from shared.http.tokens import Principal

from ..domain import Action, Order, OrderId
from ..schemas import OrderView
from ..use_cases import NewOrder, Once
from .dependencies import Context, OrdersOf


class Placing:
    """Takes a new order."""

    def __init__(self, request: Request, orders: OrdersOf, context: Context, key: IdempotencyKey = None) -> None:
        self._request = request
        self._orders = orders
        self._context = context
        self._key = key

    async def place(self, new: NewOrder, caller: Principal) -> Response:
        """The answer: 201 with the order, its address and its version."""

        def answer(order: Order) -> Answer:
            address = self._request.app.url_path_for("read_order", order_id=str(order.id))
            return _answer(201, order, Location=str(address))

        attempt = await attempt_of(self._request, caller, self._key)
        once = Once(attempt, answer) if attempt else None
        return await _respond(self._orders.place(new, self._context, once=once), answer)


class Changing:
    """Changes an order that there is."""

    def __init__(
        self,
        request: Request,
        orders: OrdersOf,
        context: Context,
        key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> None:
        self._request = request
        self._orders = orders
        self._context = context
        self._key = key
        # The header may come more than once; its declaration above has checked its form.
        self._versions = expected_versions(request.headers.getlist("If-Match"))

    async def change(
        self, id: UUID, action: Action, caller: Principal, *, owner: str | None = None, reason: str = ""
    ) -> Response:
        """The answer: 200 with the changed order and its version."""

        def answer(order: Order) -> Answer:
            return _answer(200, order)

        attempt = await attempt_of(self._request, caller, self._key)
        changed = self._orders.change(
            OrderId(id),
            action,
            self._context,
            owner=owner,
            reason=reason,
            versions=self._versions,
            once=Once(attempt, answer) if attempt else None,
        )
        return await _respond(changed, answer)


PlacingOf = Annotated[Placing, Depends()]
ChangingOf = Annotated[Changing, Depends()]


def etag(order: Order) -> str:
    """The order's version, as a strong tag."""
    return f'"{order.version}"'


async def _respond(work: Awaitable[Order], answer: Callable[[Order], Answer]) -> Response:
    try:
        return answer(await work).response()
    except Repeated as repeated:
        return repeated.answer.response()


def _answer(status: int, order: Order, **headers: str) -> Answer:
    return Answer(status, {"ETag": etag(order), **headers}, OrderView.of(order).model_dump_json().encode())
