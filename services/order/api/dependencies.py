"""What the routes work with."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from event_trio.http.authorization import Require
from event_trio.http.request_context import RequestContext, current
from event_trio.http.tokens import Principal, Role

from ..use_cases import Orders


def _orders(request: Request) -> Orders:
    return cast(Orders, request.app.state.orders)


async def _context() -> RequestContext:
    return current()


OrdersOf = Annotated[Orders, Depends(_orders)]
Context = Annotated[RequestContext, Depends(_context)]
Reader = Annotated[Principal, Depends(Require(Role.CUSTOMER, Role.OPERATOR, Role.SERVICE))]
Placer = Annotated[Principal, Depends(Require(Role.CUSTOMER, Role.OPERATOR))]
Canceller = Annotated[Principal, Depends(Require(Role.CUSTOMER, Role.OPERATOR, Role.SERVICE))]
Operator = Annotated[Principal, Depends(Require(Role.OPERATOR, Role.SERVICE))]


def owner(principal: Principal) -> str | None:
    """The customer whose orders the caller may see; None for those who see all."""
    return None if principal.has(Role.OPERATOR, Role.SERVICE) else principal.subject
