"""Routes that list and read notifications."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from event_trio.http import cursor as cursors
from event_trio.http.openapi import problems
from event_trio.http.problems import INVALID_REQUEST, NOT_FOUND, UNAVAILABLE

from ..domain import NotificationId, OrderId
from ..schemas import NotificationPage, NotificationView
from .dependencies import PREVIOUS_CURSOR, Limit, NotificationQueriesDep, Reader, owner

router = APIRouter(prefix="/v1/notifications", tags=["notifications"])


@router.get("", summary="List notifications, newest first", responses=problems(INVALID_REQUEST, UNAVAILABLE))
async def list_notifications(
    caller: Reader,
    queries: NotificationQueriesDep,
    order_id: Annotated[UUID | None, Query(description="Only notifications about this order.")] = None,
    limit: Limit = 20,
    cursor: Annotated[str | None, Query(pattern=cursors.PATTERN, description=PREVIOUS_CURSOR)] = None,
) -> NotificationPage:
    """A customer sees only the notifications about their own orders."""
    after = cursors.decode(cursor) if cursor is not None else None
    order = OrderId(order_id) if order_id is not None else None
    found = await queries.notifications(owner=owner(caller), order_id=order, after=after, limit=limit + 1)
    shown = found[:limit]
    more = cursors.encode(shown[-1].created_at, shown[-1].id) if len(found) > limit else None
    return NotificationPage(items=[NotificationView.of(notification) for notification in shown], next_cursor=more)


@router.get("/{notification_id}", summary="Read a notification", responses=problems(NOT_FOUND, UNAVAILABLE))
async def read_notification(notification_id: UUID, caller: Reader, queries: NotificationQueriesDep) -> NotificationView:
    """A notification about another customer's order is not found."""
    return NotificationView.of(await queries.notification(NotificationId(notification_id), owner=owner(caller)))
