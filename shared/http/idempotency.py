"""Requests that may be repeated: the key that names one, and the answer that is kept for it.

After the draft of the IETF's HTTPAPI group (draft-ietf-httpapi-idempotency-key-header). What changed nothing keeps no
answer: a refused request may be sent again under its key, and is judged anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Request
from starlette.responses import Response

from ..errors import EventTrioError
from .problems import HttpProblem, Kind, Translation
from .tokens import Principal

WAIT_SECONDS = 5.0

IN_USE = Kind("idempotency-key-in-use", "A request with this key is still being answered", 409)
REUSED = Kind("idempotency-key-reused", "This key was used for another request", 422)

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


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request under a key. Two with one key are the same request if their fingerprints are."""

    principal: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with, in the form in which it is kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def response(self) -> Response:
        """The answer as it goes out."""
        return Response(self.body, self.status, dict(self.headers), media_type="application/json")


class Repeated(EventTrioError):
    """This was asked before; the answer of that time is in it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class KeyInUse(EventTrioError):
    """A request with this key is still being answered."""


class KeyReused(EventTrioError):
    """This key was used for another request: another method, path or body."""


async def attempt_of(request: Request, principal: Principal, key: str | None) -> Attempt | None:
    """The request under its key, or None without one. Each caller has keys of their own."""
    if key is None:
        return None
    parts = [request.method.encode(), request.url.path.encode(), principal.subject.encode(), await request.body()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return Attempt(principal.subject, key.strip('"'), digest.digest())


def idempotency_problems() -> Translation:
    """How a key that cannot be used is told."""
    return {
        KeyInUse: lambda error: HttpProblem(IN_USE, str(error), headers={"Retry-After": "1"}),
        KeyReused: lambda error: HttpProblem(REUSED, str(error)),
    }
