"""Verifies bearer tokens: JWTs (RFC 7519), with a key set."""

from __future__ import annotations

from collections.abc import Mapping

import jwt
import structlog

from ..error_text import describe
from .key_set import KeySet, UnknownKey
from .tokens import Principal, Role, TokenRejected

log = structlog.get_logger(__name__)

CLOCK_SKEW_SECONDS = 30
LONGEST_TOKEN = 16_384
LONGEST_SUBJECT = 255
MOST_ROLES = 100
LAST_SECOND = 253_402_300_799
"""The end of the year 9999: a later time is invalid."""

NOT_VALID = "the token is not valid"


class TokenVerifier:
    """Verifies tokens, and returns their principals."""

    def __init__(self, keys: KeySet, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def verify(self, token: str) -> Principal:
        """Verify the signature, issuer, audience, times and the form of every claim that is used.

        `sub` is the caller, `roles` a list of role names; unknown names are ignored. Raises KeysUnavailable, or
        TokenRejected, whose text can be shown to the caller.
        """
        key_id = _key_id(token)
        try:
            key = await self._keys.find(key_id)
        except UnknownKey:
            raise TokenRejected("the token's key is unknown") from None
        claims = self._claims(token, key)
        for name in ("exp", "nbf", "iat"):
            if name in claims and not _is_time(claims[name]):
                raise TokenRejected(NOT_VALID)
        return Principal(_subject(claims.get("sub")), _roles(claims.get("roles")))

    def _claims(self, token: str, key: jwt.PyJWK) -> Mapping[str, object]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[str(key.algorithm_name)],
                issuer=self._issuer,
                audience=self._audience,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRejected("the token has expired") from None
        except jwt.PyJWTError:
            raise TokenRejected(NOT_VALID) from None
        except Exception as error:  # noqa: BLE001 - claims of unexpected types raise undocumented errors
            log.info("malformed token", action="auth.malformed_token", error=describe(error))
            raise TokenRejected(NOT_VALID) from None


def _key_id(token: str) -> str:
    if len(token) > LONGEST_TOKEN:
        raise TokenRejected(NOT_VALID)
    try:
        found = jwt.get_unverified_header(token).get("kid")
    except Exception:  # noqa: BLE001 - the header is not verified yet, and may contain anything
        raise TokenRejected(NOT_VALID) from None
    if not isinstance(found, str):
        raise TokenRejected("the token has no kid")
    return found


def _is_time(claim: object) -> bool:
    # Comparisons are false for NaN, and exact for integers of any size.
    return isinstance(claim, int | float) and not isinstance(claim, bool) and 0 <= claim <= LAST_SECOND


def _subject(claim: object) -> str:
    """The subject is stored in rows and logs, so its form and length are limited."""
    if not isinstance(claim, str) or not claim.strip() or len(claim) > LONGEST_SUBJECT or not claim.isprintable():
        raise TokenRejected(NOT_VALID)
    return claim


def _roles(claim: object) -> frozenset[Role]:
    if claim is None:
        return frozenset()
    if not isinstance(claim, list) or len(claim) > MOST_ROLES or not all(isinstance(name, str) for name in claim):
        raise TokenRejected(NOT_VALID)
    known = {role.value: role for role in Role}
    return frozenset(known[name] for name in claim if name in known)
