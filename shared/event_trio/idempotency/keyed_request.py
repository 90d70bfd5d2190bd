"""A request under its key, the answer that is kept for it, and why a key may not be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import EventTrioError


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request under a key. Two with one key are the same request if their fingerprints are."""

    principal: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What a request is answered with, in the form in which it is kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AlreadyAnswered(EventTrioError):
    """This was asked before; the answer of that time is in it."""

    def __init__(self, answer: StoredResponse) -> None:
        super().__init__()
        self.answer = answer


class KeyInUse(EventTrioError):
    """A request with this key is still being answered."""


class KeyReused(EventTrioError):
    """This key was used for another request: another method, path or body."""
