"""Who may call what: every route says which roles it serves."""

from __future__ import annotations

from typing import Annotated, Protocol, cast

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ..errors import ConfigurationError
from ..settings import ServiceSettings
from .key_source import ensure_key_set
from .problems import FORBIDDEN, UNAUTHENTICATED, UNAVAILABLE, HttpProblem
from .rate_limit import TOO_MANY, RateLimit, TooManyRequests
from .tokens import KeySet, KeysUnavailable, Principal, Role, TokenRejected, TokenVerifier, key_set_from

log = structlog.get_logger(__name__)

BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A JWT with the claims `sub` and `roles`.")

CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Authenticator(Protocol):
    """Knows who calls."""

    async def authenticate(self, token: str | None) -> Principal:
        """The caller; raises TokenRejected, KeysUnavailable or TooManyRequests."""
        ...


class TokenAuthenticator:
    """Asks for a bearer token."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def authenticate(self, token: str | None) -> Principal:
        if token is None:
            raise TokenRejected("the request has no bearer token")
        return await self._verifier.verify(token)


class NoAuthenticator:
    """Takes everyone for the operator: for one's own machine only."""

    async def authenticate(self, token: str | None) -> Principal:
        return Principal("local", frozenset({Role.OPERATOR}))


class RateLimitedAuthenticator:
    """Lets nobody ask too often, once it knows who they are."""

    def __init__(self, known: Authenticator, limit: RateLimit) -> None:
        self.known = known
        self._limit = limit

    async def authenticate(self, token: str | None) -> Principal:
        principal = await self.known.authenticate(token)
        self._limit.take(principal.subject)
        return principal


def authenticator(settings: ServiceSettings) -> Authenticator:
    """The authenticator that the settings ask for, with their rate limit.

    Raises ConfigurationError when there would be none on an address that others can reach, or when tokens of
    every issuer or for every audience would do; or when only a part is set of what it takes.
    """
    known = _authenticator(settings)
    if not settings.rate_limit_per_minute:
        return known
    return RateLimitedAuthenticator(known, RateLimit(settings.rate_limit_per_minute))


def asks_for_tokens(known: Authenticator) -> bool:
    """Whether callers have to say who they are."""
    return not isinstance(known.known if isinstance(known, RateLimitedAuthenticator) else known, NoAuthenticator)


def _authenticator(settings: ServiceSettings) -> Authenticator:
    if settings.auth_jwks is not None:
        if not settings.auth_issuer or not settings.auth_audience:
            raise ConfigurationError(
                "AUTH_JWKS is set, so AUTH_ISSUER and AUTH_AUDIENCE must be too: "
                "a token made by or for someone else is no proof"
            )
        ensure_key_set(settings.auth_jwks)
        keys = KeySet(key_set_from(settings.auth_jwks))
        return TokenAuthenticator(TokenVerifier(keys, issuer=settings.auth_issuer, audience=settings.auth_audience))
    for name, value in (("AUTH_ISSUER", settings.auth_issuer), ("AUTH_AUDIENCE", settings.auth_audience)):
        if value:
            raise ConfigurationError(
                f"{name} is set and AUTH_JWKS is not, so no token would be checked: set AUTH_JWKS to the path or URL "
                f"of the issuer's key set, or unset {name}"
            )
    if not settings.listens_on_loopback and settings.environment != "local":
        raise ConfigurationError(
            f"AUTH_JWKS is not set and HTTP_HOST is {settings.http_host}: without authentication a service only "
            "listens on loopback (HTTP_HOST=127.0.0.1) or with ENVIRONMENT=local; "
            "set AUTH_JWKS to the path or URL of the issuer's key set"
        )
    log.warning(
        "authentication is off: every request acts as operator", action="auth.off", http_host=settings.http_host
    )
    return NoAuthenticator()


class RequireRole:
    """A route's dependency: lets callers with one of the roles through, and gives the route the principal."""

    def __init__(self, *roles: Role) -> None:
        if not roles:
            raise ValueError("name at least one role")
        self.roles = roles

    async def __call__(
        self, request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
    ) -> Principal:
        known = cast(Authenticator, request.app.state.authenticator)
        try:
            principal = await known.authenticate(credentials.credentials if credentials else None)
        except TokenRejected as refused:
            raise HttpProblem(UNAUTHENTICATED, str(refused), headers=CHALLENGE) from None
        except TooManyRequests as refused:
            raise HttpProblem(TOO_MANY, str(refused), headers={"Retry-After": str(refused.retry_after)}) from None
        except KeysUnavailable as unavailable:
            raise HttpProblem(UNAVAILABLE, str(unavailable), headers={"Retry-After": "5"}) from None
        if not principal.has(*self.roles):
            raise HttpProblem(FORBIDDEN, f"this needs the role {' or '.join(self.roles)}")
        return principal
