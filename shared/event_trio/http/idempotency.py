"""Idempotent requests: the `Idempotency-Key` header, and the response that is stored for it.

Follows draft-ietf-httpapi-idempotency-key-header. Only successful changes are stored: a rejected request may be sent
again with its key, and is processed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar, cast

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from ..idempotency.guard import NO_GUARD, IdempotencyGuard, KeyGuard
from ..idempotency.keyed_request import AlreadyAnswered, KeyedRequest, KeyInUse, KeyReused, StoredResponse
from ..idempotency.response_store import ResponseStore
from .problems import INVALID_REQUEST, HttpProblem, ProblemKind, ProblemTranslation
from .replayed import REPLAYED
from .tokens import Principal

T = TypeVar("T")

KEY_HEADER = "Idempotency-Key"
IN_USE = ProblemKind("idempotency-key-in-use", "A request with this key is being processed", 409, transient=True)
REUSED = ProblemKind("idempotency-key-reused", "This key was used for a different request", 422)

# The draft asks for a quoted string; most callers send it unquoted. Both denote the same key.
_FORM = r"""^([A-Za-z0-9._:~+/=-]{1,255}|"[A-Za-z0-9 ._:~+/=-]{1,255}")$"""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=KEY_HEADER,
        pattern=_FORM,
        description="Identifies this request, so that it can be retried: the change is made once, and a retry gets the "
        "same response. Use a new UUID for each request.",
        examples=["7c4a8d09-ca37-4e2b-9f6d-1b5e0c3a2f11"],
    ),
]


class IdempotentRequest:
    """A request for a change, with its key if it has one. The stored responses are on `app.state.responses`."""

    def __init__(self, request: Request, key: str | None) -> None:
        self._request = request
        self._key = key

    async def respond(
        self,
        caller: Principal,
        change: Callable[[IdempotencyGuard[T]], Awaitable[T]],
        respond: Callable[[T], StoredResponse],
    ) -> Response:
        """Make the change and respond with its result, or with the response that is stored for the key.

        Raises what `change` raises, and KeyReused and KeyInUse.
        """
        if self._key is None:
            return _response(respond(await change(NO_GUARD)))
        guard = await self._guard(self._key, caller, respond)
        try:
            async with guard.store.queued(guard.request):
                return _response(respond(await change(guard)))
        except AlreadyAnswered as before:
            return _response(before.response, {REPLAYED: "true"})

    async def _guard(self, key: str, caller: Principal, respond: Callable[[T], StoredResponse]) -> KeyGuard[T]:
        store = cast(ResponseStore, self._request.app.state.responses)
        fingerprint = await _fingerprint(self._request, caller)
        return KeyGuard(store, KeyedRequest(caller.subject, key.strip('"'), fingerprint), respond)


async def _idempotent_request(request: Request, key: IdempotencyKey = None) -> IdempotentRequest:
    if len(request.headers.getlist(KEY_HEADER)) > 1:
        raise HttpProblem(INVALID_REQUEST, f"The request has several headers {KEY_HEADER}. Send one.")
    return IdempotentRequest(request, key)


IdempotentRequestDep = Annotated[IdempotentRequest, Depends(_idempotent_request)]


def response_of(view: BaseModel, status: int = 200, **headers: str) -> StoredResponse:
    """A response whose body is the view."""
    return StoredResponse(status, headers, view.model_dump_json().encode())


def idempotency_problems() -> ProblemTranslation:
    """The problems for keys that cannot be used."""
    return {
        KeyInUse: lambda error: HttpProblem(IN_USE, str(error), headers={"Retry-After": "1"}),
        KeyReused: lambda error: HttpProblem(REUSED, str(error)),
    }


async def _fingerprint(request: Request, caller: Principal) -> bytes:
    """A digest that distinguishes requests. Keys are scoped to the caller."""
    parts = [request.method.encode(), request.url.path.encode(), caller.subject.encode(), await request.body()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _response(stored: StoredResponse, headers: Mapping[str, str] = {}) -> Response:
    return Response(stored.body, stored.status, {**stored.headers, **headers}, media_type="application/json")
