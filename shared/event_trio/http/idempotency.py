"""Requests that may be repeated: the key that names one, and the answer that is kept for it.

After the draft of the IETF's HTTPAPI group (draft-ietf-httpapi-idempotency-key-header). What changed nothing keeps no
answer: a refused request may be sent again under its key, and is judged anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar, cast

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from ..idempotency.guard import NO_GUARD, IdempotencyGuard, KeyGuard
from ..idempotency.keyed_request import AlreadyAnswered, KeyedRequest, KeyInUse, KeyReused, StoredResponse
from ..idempotency.response_store import ResponseStore
from .problems import HttpProblem, ProblemKind, ProblemTranslation
from .tokens import Principal

T = TypeVar("T")

IN_USE = ProblemKind("idempotency-key-in-use", "A request with this key is still being answered", 409, transient=True)
REUSED = ProblemKind("idempotency-key-reused", "This key was used for another request", 422)

# The draft asks for a quoted string; most callers send it bare. Both name the same key.
_FORM = r"""^([A-Za-z0-9._:~+/=-]{1,255}|"[A-Za-z0-9 ._:~+/=-]{1,255}")$"""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=_FORM,
        description="Names this request, so that it can be repeated: the same key with the same request gets the "
        "same answer, and the change is made once. A fresh UUID does.",
        examples=["7c4a8d09-ca37-4e2b-9f6d-1b5e0c3a2f11"],
    ),
]


class IdempotentRequest:
    """A request that changes something, under its key if it has one. The answers are on `app.state.answers`."""

    def __init__(self, request: Request, key: IdempotencyKey = None) -> None:
        self._request = request
        self._key = key

    async def respond(
        self,
        caller: Principal,
        change: Callable[[IdempotencyGuard[T]], Awaitable[T]],
        answer: Callable[[T], StoredResponse],
    ) -> Response:
        """The answer to what `change` makes, now or when it was asked for before.

        Raises whatever it raises, KeyReused and KeyInUse among it.
        """
        if self._key is None:
            return _response(answer(await change(NO_GUARD)))
        once = await self._once(self._key, caller, answer)
        try:
            async with once.answers.turn(once.attempt):
                return _response(answer(await change(once)))
        except AlreadyAnswered as repeated:
            return _response(repeated.answer)

    async def _once(self, key: str, caller: Principal, answer: Callable[[T], StoredResponse]) -> KeyGuard[T]:
        answers = cast(ResponseStore, self._request.app.state.answers)
        fingerprint = await _fingerprint(self._request, caller)
        return KeyGuard(answers, KeyedRequest(caller.subject, key.strip('"'), fingerprint), answer)


IdempotentRequestDep = Annotated[IdempotentRequest, Depends()]


def answer_with(view: BaseModel, status: int = 200, **headers: str) -> StoredResponse:
    """An answer whose body is the view."""
    return StoredResponse(status, headers, view.model_dump_json().encode())


def idempotency_problems() -> ProblemTranslation:
    """How a key that cannot be used is told."""
    return {
        KeyInUse: lambda error: HttpProblem(IN_USE, str(error), headers={"Retry-After": "1"}),
        KeyReused: lambda error: HttpProblem(REUSED, str(error)),
    }


async def _fingerprint(request: Request, caller: Principal) -> bytes:
    """What tells requests apart. Each caller has keys of their own."""
    parts = [request.method.encode(), request.url.path.encode(), caller.subject.encode(), await request.body()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def _response(answer: StoredResponse) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers), media_type="application/json")
