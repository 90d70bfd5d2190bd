"""The envelope of one dead letter or deferred message: masked, and unmasked after a reason was recorded."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request

from ..http.authorization import RequireRole
from ..http.openapi import problems
from ..http.problems import FORBIDDEN, INVALID_REQUEST, NOT_FOUND, UNAVAILABLE, HttpProblem
from ..http.tokens import Principal, Role
from ..inbox.revealing import Revealing
from ..inbox.selection import Rows
from .masking import PersonalFields, masked_message
from .messages import MessageView, detailed

READ_MESSAGE = problems(FORBIDDEN, NOT_FOUND, INVALID_REQUEST, UNAVAILABLE)


async def _revealing(request: Request) -> Revealing:
    return cast(Revealing, request.app.state.message_revealing)


RevealingDep = Annotated[Revealing, Depends(_revealing)]


class MessageEnvelopes:
    """Shows envelopes to a caller, as the request asks for them."""

    def __init__(self, address: str, caller: Principal, personal: PersonalFields, revealing: Revealing, unmasked: bool):
        self._address = address
        self._caller = caller
        self._personal = personal
        self._revealing = revealing
        self._unmasked = unmasked

    async def details(self, view: type[MessageView], row: Any, actions: Rows) -> dict[str, Any]:
        """The fields of the view and of `MessageDetails`. Raises HttpProblem without a reason for what is unmasked."""
        body = row.envelope.decode(errors="replace")
        if not self._unmasked:
            return detailed(view, row, actions, *masked_message(body, self._personal))
        if not await self._revealing.may_see(row.event_id, self._caller.subject):
            raise HttpProblem(FORBIDDEN, f"give a reason first: POST {self._address}/reveals")
        return detailed(view, row, actions, body, [])


async def _envelopes(
    request: Request,
    caller: Annotated[Principal, Depends(RequireRole(Role.OPERATOR))],
    revealing: RevealingDep,
    unmasked: Annotated[bool, Query(description="Requires a reason that the caller gave before.")] = False,
) -> MessageEnvelopes:
    personal = cast(PersonalFields, request.app.state.message_personal_fields)
    return MessageEnvelopes(request.url.path, caller, personal, revealing, unmasked)


MessageEnvelopesDep = Annotated[MessageEnvelopes, Depends(_envelopes)]
