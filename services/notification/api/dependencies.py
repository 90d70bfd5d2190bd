"""Dependencies of the routes."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Query, Request

from event_trio.http.authorization import RequireRole
from event_trio.http.tokens import Principal, Role

from ..use_cases import NotificationQueries


async def _notifications(request: Request) -> NotificationQueries:
    return cast(NotificationQueries, request.app.state.notifications)


NotificationQueriesDep = Annotated[NotificationQueries, Depends(_notifications)]
Reader = Annotated[Principal, Depends(RequireRole(Role.CUSTOMER, Role.OPERATOR, Role.SERVICE))]

Limit = Annotated[int, Query(ge=1, le=100)]
PREVIOUS_CURSOR = "`next_cursor` of the previous page."


def owner(principal: Principal) -> str | None:
    """The customer whose notifications the caller may see; None for callers who may see all."""
    return None if principal.has(Role.OPERATOR, Role.SERVICE) else principal.subject
