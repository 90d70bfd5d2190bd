"""The public keys of an issuer (JWK set), read from a file or URL, cached, and refreshed in the background."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import jwt
import structlog

from ..error_text import describe
from ..errors import EventTrioError
from ..http_client.bounded_response import send
from ..http_client.client import async_client
from ..urls import is_url
from .tokens import KeysUnavailable

log = structlog.get_logger(__name__)

# Asymmetric algorithms only: with a shared secret everyone who reads the key set could issue tokens.
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})

KEYS_FRESH_SECONDS = 600.0
KEYS_RETRY_SECONDS = 10.0
FETCH_SECONDS = 3.0
LARGEST_SET = 1024 * 1024
MOST_WAITERS = 50
"""The most requests that wait for a refresh: those with an unknown key id, which anyone can send."""


class UnknownKey(EventTrioError):
    """The key set has no key with that id."""


ReadKeySet = Callable[[], Awaitable[str]]


def key_set_from(source: str) -> ReadKeySet:
    """A function that reads the key set from a path or URL."""

    async def from_address() -> str:
        async with async_client([source], timeout=FETCH_SECONDS) as client:
            request = client.build_request("GET", source)
            answer = await send(client, request, largest=LARGEST_SET)
        return answer.raise_for_status().text

    async def from_file() -> str:
        return await asyncio.to_thread(Path(source).read_text, encoding="utf-8")

    return from_address if is_url(source) else from_file


class KeySet:
    """The public keys by id; refreshed when they are old, and when a token has an unknown key id (rotation).

    A token with a known key id never waits. There is one refresh at a time, and at most one per `KEYS_RETRY_SECONDS`.
    During an outage of the source the cached keys are used.
    """

    def __init__(self, fetch: ReadKeySet, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiters = 0

    async def find(self, key_id: str) -> jwt.PyJWK:
        """The key of that id; raises UnknownKey, or KeysUnavailable if the key set was never read."""
        if self._is_due(key_id):
            self._tried_at = self._monotonic()
            self._reading = asyncio.create_task(self._read())
            await asyncio.sleep(0)  # let it start
        if key_id not in self._keys:
            await self._wait()
        if self._read_at is None:
            raise KeysUnavailable
        if (found := self._keys.get(key_id)) is None:
            raise UnknownKey
        return found

    async def _wait(self) -> None:
        """Wait for the refresh in progress, if there is one and not too many requests wait for it."""
        if self._reading is None or self._reading.done() or self._waiters >= MOST_WAITERS:
            return
        self._waiters += 1
        try:
            # A request that stops waiting does not cancel the refresh of the others.
            await asyncio.shield(self._reading)
        finally:
            self._waiters -= 1

    def _is_due(self, key_id: str) -> bool:
        now = self._monotonic()
        if self._reading is not None and not self._reading.done():
            return False
        if self._tried_at is not None and now - self._tried_at < KEYS_RETRY_SECONDS:
            return False
        return self._read_at is None or key_id not in self._keys or now - self._read_at > KEYS_FRESH_SECONDS

    async def _read(self) -> None:
        tried_at = self._monotonic()
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = parse_key_set(await self._fetch())
        except Exception as error:  # noqa: BLE001 - the cached keys stay, whatever the source returns
            log.warning("key set could not be read", action="auth.key_set_failed", error=describe(error))
            return
        self._read_at = tried_at
        log.info("key set read", action="auth.key_set_read", keys=len(self._keys))


def parse_key_set(text: str) -> Mapping[str, jwt.PyJWK]:
    """The public signing keys of a key set, by id; raises an error if there is none."""
    keys: dict[str, jwt.PyJWK] = {}
    for entry in json.loads(text)["keys"]:
        try:
            if not isinstance(entry["kid"], str) or entry.get("use", "sig") != "sig":
                continue
            if entry.get("kty") == "oct" or "d" in entry:
                continue
            key = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, LookupError, TypeError, AttributeError):
            continue  # an invalid key does not invalidate the others
        if key.algorithm_name in ALGORITHMS:
            keys[entry["kid"]] = key
    if not keys:
        raise ValueError("it contains no public signing key with a kid")
    return keys
