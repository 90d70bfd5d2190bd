"""Bearer tokens: JWTs checked against a key set from a file or an address (RFC 7519, RFC 7517)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import jwt
import structlog

from ..error_text import describe
from ..errors import EventTrioError

log = structlog.get_logger(__name__)

# Asymmetric ones only: a shared secret in a key set would let whoever reads the set mint tokens.
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})

KEYS_FRESH_SECONDS = 600.0
KEYS_RETRY_SECONDS = 10.0
FETCH_SECONDS = 3.0
CLOCK_SKEW_SECONDS = 30


class Role(StrEnum):
    """What a caller may do."""

    CUSTOMER = "customer"
    OPERATOR = "operator"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the token's subject (for a customer, the customer's id) and roles."""

    subject: str
    roles: frozenset[Role]

    def has(self, *roles: Role) -> bool:
        """Whether the caller has at least one of these roles."""
        return not self.roles.isdisjoint(roles)


class TokenRefused(EventTrioError):
    """The token does not prove who calls."""


class KeysUnavailable(EventTrioError):
    """The key set cannot be read, so no token can be checked."""


Fetch = Callable[[], Awaitable[str]]


def key_set_from(source: str) -> Fetch:
    """How to read a key set from a path or an http(s) address."""

    async def from_address() -> str:
        async with httpx.AsyncClient(timeout=FETCH_SECONDS) as client:
            return (await client.get(source)).raise_for_status().text

    async def from_file() -> str:
        return await asyncio.to_thread(Path(source).read_text)

    return from_address if source.startswith(("http://", "https://")) else from_file


class KeySet:
    """The public keys by their id; read again when old, or when a token names an unknown key (rotation).

    An outage of the source is survived with the keys already read, and a flood of unknown key ids does not reach it
    more than once in `KEYS_RETRY_SECONDS`.
    """

    def __init__(self, fetch: Fetch, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK:
        """The key of that id; raises TokenRefused when there is none, KeysUnavailable when none could ever be read."""
        async with self._reading:
            if self._due(key_id):
                await self._read()
        if self._read_at is None:
            raise KeysUnavailable
        if key_id not in self._keys:
            raise TokenRefused("the token's key is not known")
        return self._keys[key_id]

    def _due(self, key_id: str) -> bool:
        now = self._monotonic()
        if self._tried_at is not None and now - self._tried_at < KEYS_RETRY_SECONDS:
            return False
        return self._read_at is None or key_id not in self._keys or now - self._read_at > KEYS_FRESH_SECONDS

    async def _read(self) -> None:
        self._tried_at = self._monotonic()
        try:
            self._keys = _parse(await self._fetch())
        except (OSError, ValueError, LookupError, TypeError, httpx.HTTPError, jwt.PyJWTError) as error:
            log.warning("key set could not be read", action="auth.keys_failed", error=describe(error))
            return
        self._read_at = self._tried_at
        log.info("key set read", action="auth.keys_read", keys=len(self._keys))


class TokenVerifier:
    """Turns a token into a principal, or refuses it."""

    def __init__(self, keys: KeySet, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def verify(self, token: str) -> Principal:
        """Check signature, issuer, audience and times; raises TokenRefused with a reason that is safe to show.

        `sub` is the caller, `roles` a list of role names; names of roles that are not ours are ignored.
        """
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            if not isinstance(key_id, str):
                raise TokenRefused("the token names no key")
            key = await self._keys.find(key_id)
            claims = jwt.decode(
                token,
                key,
                algorithms=[str(key.algorithm_name)],
                issuer=self._issuer,
                audience=self._audience,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRefused("the token has expired") from None
        except jwt.PyJWTError:
            raise TokenRefused("the token is not valid") from None
        return Principal(str(claims["sub"]), _roles(claims.get("roles")))


def _parse(text: str) -> Mapping[str, jwt.PyJWK]:
    keys: dict[str, jwt.PyJWK] = {}
    for entry in json.loads(text)["keys"]:
        if "kid" not in entry or entry.get("use", "sig") != "sig" or entry.get("kty") == "oct" or "d" in entry:
            continue
        key = jwt.PyJWK.from_dict(entry)
        if key.algorithm_name in ALGORITHMS:
            keys[str(entry["kid"])] = key
    if not keys:
        raise ValueError("it holds no public signing key with a kid")
    return keys


def _roles(claim: Any) -> frozenset[Role]:
    known = {role.value: role for role in Role}
    return frozenset(known[name] for name in claim if name in known) if isinstance(claim, list) else frozenset()
