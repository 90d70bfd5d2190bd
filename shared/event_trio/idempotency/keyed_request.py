"""A request with an idempotency key, the response that is stored for it, and why a key may be rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import EventTrioError


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with a key. Two requests with one key are the same request if their fingerprints are equal."""

    principal: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response in the form in which it is stored and sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AlreadyAnswered(EventTrioError):
    """The request was answered before; the error carries the stored response."""

    def __init__(self, response: StoredResponse) -> None:
        super().__init__()
        self.response = response


class KeyInUse(EventTrioError):
    """Another request with this key is being processed."""


class KeyReused(EventTrioError):
    """This key was used for a different request: another method, path or body."""
