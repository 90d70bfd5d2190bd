"""Guards that make a change happen once per idempotency key, or every time without a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .keyed_request import KeyedRequest, StoredResponse
from .response_store import ClaimClause, ResponseStore
from .transactions import Fetch

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class IdempotencyGuard(Protocol[T_contra]):
    """What a use case calls in the transaction of a change: `claim` before anything else, `keep` at the end."""

    async def claim(self, fetch: Fetch) -> None:
        """Return if the change is to be made; raise AlreadyAnswered, KeyReused or KeyInUse otherwise."""

    async def keep(self, fetch: Fetch, result: T_contra) -> None:
        """Store the response to the change that was made, with this result."""

    def claiming(self, result: T_contra, first: int) -> ClaimClause:
        """`claim` and `keep` in one, for a change whose result is known before it is made.

        The statement that makes the change contains the clause, whose parameters are numbered from `first`, and changes
        nothing unless the clause returns a row. If it returned none, `repeated` tells why.
        """

    async def repeated(self, fetch: Fetch) -> None:
        """Raise AlreadyAnswered or KeyReused; return if the key has expired meanwhile, which `claim` frees."""

    async def in_use(self, fetch: Fetch) -> None:
        """Raise KeyInUse if the statement ended because another request holds the key."""

    async def amend(self, fetch: Fetch, result: T_contra) -> None:
        """Replace the stored response, for a change that takes several transactions: this is its result so far."""


@dataclass(frozen=True, slots=True)
class KeyGuard(Generic[T]):
    """Makes a change once per key: the request, the store of responses, and how a result becomes a response."""

    store: ResponseStore
    request: KeyedRequest
    respond: Callable[[T], StoredResponse]

    async def claim(self, fetch: Fetch) -> None:
        """Return if no request with this key was answered or is being processed."""
        await self.store.claim(fetch, self.request)

    async def keep(self, fetch: Fetch, result: T) -> None:
        """Store the response in the transaction of the change."""
        await self.store.keep(fetch, self.request, self.respond(result))

    def claiming(self, result: T, first: int) -> ClaimClause:
        """Claim the key and store the response in the statement of the change."""
        return self.store.claiming(self.request, self.respond(result), first)

    async def repeated(self, fetch: Fetch) -> None:
        """Look for the stored response."""
        await self.store.find(fetch, self.request)

    async def in_use(self, fetch: Fetch) -> None:
        """Look for another request with the key."""
        await self.store.ensure_not_in_use(fetch, self.request)

    async def amend(self, fetch: Fetch, result: T) -> None:
        """Replace the stored response in the transaction of the change."""
        await self.store.amend(fetch, self.request, self.respond(result))


_UNCONDITIONAL = ClaimClause("SELECT 1")


class NoGuard:
    """A change without a key: a repetition cannot be recognised."""

    async def claim(self, fetch: Fetch) -> None:
        """Return always."""

    async def keep(self, fetch: Fetch, result: object) -> None:
        """Store nothing."""

    def claiming(self, result: object, first: int) -> ClaimClause:
        """Make the change always."""
        return _UNCONDITIONAL

    async def repeated(self, fetch: Fetch) -> None:
        """Return always."""

    async def in_use(self, fetch: Fetch) -> None:
        """Return always."""

    async def amend(self, fetch: Fetch, result: object) -> None:
        """Store nothing."""


NO_GUARD = NoGuard()
