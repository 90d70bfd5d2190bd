"""How often a change is made: once under its key, or, without one, every time that it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .keyed_request import KeyedRequest, StoredResponse
from .response_store import ResponseStore
from .transactions import Fetch

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class IdempotencyGuard(Protocol[T_contra]):
    """What whoever makes a change calls in its transaction: `claim` before anything else, `keep` when all is done."""

    async def claim(self, fetch: Fetch) -> None:
        """Go on only if it is to be made; raises Repeated, KeyReused or KeyInUse if not."""

    async def keep(self, fetch: Fetch, result: T_contra) -> None:
        """The change was made, with this result."""

    async def amend(self, fetch: Fetch, result: T_contra) -> None:
        """A change that takes several transactions went on; this is its result so far."""


@dataclass(frozen=True, slots=True)
class KeyGuard(Generic[T]):
    """A change that is made once: the request that names it, where answers are, and how its result is answered."""

    answers: ResponseStore
    attempt: KeyedRequest
    answer: Callable[[T], StoredResponse]

    async def claim(self, fetch: Fetch) -> None:
        """Go on only if nobody made it before, and nobody is at it."""
        await self.answers.claim(fetch, self.attempt)

    async def keep(self, fetch: Fetch, result: T) -> None:
        """Keep the answer with the change."""
        await self.answers.keep(fetch, self.attempt, self.answer(result))

    async def amend(self, fetch: Fetch, result: T) -> None:
        """Keep the answer with the change, in the place of the one that told of less."""
        await self.answers.amend(fetch, self.attempt, self.answer(result))


class NoGuard:
    """A change without a key: nobody could tell that it comes again."""

    async def claim(self, fetch: Fetch) -> None:
        """Always go on."""

    async def keep(self, fetch: Fetch, result: object) -> None:
        """Nobody will ask for the answer."""

    async def amend(self, fetch: Fetch, result: object) -> None:
        """Nobody will ask for the answer."""


NO_GUARD = NoGuard()
