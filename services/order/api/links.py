"""Links from an event to the notification service, if its URL is configured."""

from __future__ import annotations

from typing import Annotated, cast
from uuid import UUID

from fastapi import Depends, Request

from event_trio.http.tokens import Principal, Role

from ..schemas import EventLinks


class EventLinkBuilder:
    """Builds the links of an event."""

    def __init__(self, request: Request) -> None:
        address = cast("str | None", request.app.state.notification_url)
        self._address = address.rstrip("/") if address else None

    def of(self, order_id: UUID, event_id: UUID, caller: Principal) -> EventLinks:
        """The links; without the processed messages for a caller who may not see them."""
        if self._address is None:
            return EventLinks()
        sees_all = caller.has(Role.OPERATOR, Role.SERVICE)
        return EventLinks(
            notifications=f"{self._address}/v1/notifications?order_id={order_id}",
            processed=f"{self._address}/v1/processed-messages?event_id={event_id}" if sees_all else None,
        )


async def _event_links(request: Request) -> EventLinkBuilder:
    return EventLinkBuilder(request)


EventLinksDep = Annotated[EventLinkBuilder, Depends(_event_links)]
