"""Dependencies of the routes."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from event_trio.http.authorization import RequireRole
from event_trio.http.tokens import Principal, Role
from event_trio.observability.request_context import RequestContext, current_context

from ..use_cases import Orders


async def _orders(request: Request) -> Orders:
    return cast(Orders, request.app.state.orders)


async def _context() -> RequestContext:
    return current_context()


OrdersDep = Annotated[Orders, Depends(_orders)]
Context = Annotated[RequestContext, Depends(_context)]
Reader = Annotated[Principal, Depends(RequireRole(Role.CUSTOMER, Role.OPERATOR, Role.SERVICE))]
Placer = Annotated[Principal, Depends(RequireRole(Role.CUSTOMER, Role.OPERATOR))]
Canceller = Annotated[Principal, Depends(RequireRole(Role.CUSTOMER, Role.OPERATOR, Role.SERVICE))]
Operator = Annotated[Principal, Depends(RequireRole(Role.OPERATOR, Role.SERVICE))]


def owner(principal: Principal) -> str | None:
    """The customer whose orders the caller may see; None for callers who may see all."""
    return None if principal.has(Role.OPERATOR, Role.SERVICE) else principal.subject
