"""Authentication and authorization: every route declares the roles that may call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol, cast

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ..errors import ConfigurationError
from ..settings import ProcessSettings
from .problems import FORBIDDEN, UNAUTHENTICATED, UNAVAILABLE, HttpProblem
from .rate_limit import TOO_MANY, RateLimit, TooManyRequests
from .tokens import KeysUnavailable, Principal, Role, TokenRejected

if TYPE_CHECKING:
    from .token_verifier import TokenVerifier

log = structlog.get_logger(__name__)

BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A JWT with the claims `sub` and `roles`.")

CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Authenticator(Protocol):
    """Authenticates callers."""

    async def authenticate(self, token: str | None) -> Principal:
        """The caller; raises TokenRejected, KeysUnavailable or TooManyRequests."""
        ...


class TokenAuthenticator:
    """Requires a bearer token."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def authenticate(self, token: str | None) -> Principal:
        if token is None:
            raise TokenRejected("the request has no bearer token")
        return await self._verifier.verify(token)


class NoAuthenticator:
    """Authenticates every caller as operator; for development only."""

    async def authenticate(self, token: str | None) -> Principal:
        return Principal("local", frozenset({Role.OPERATOR}))


class RateLimitedAuthenticator:
    """Limits the rate of requests of each authenticated caller."""

    def __init__(self, known: Authenticator, limit: RateLimit) -> None:
        self.known = known
        self._limit = limit

    async def authenticate(self, token: str | None) -> Principal:
        principal = await self.known.authenticate(token)
        self._limit.take(principal.subject)
        return principal


def authenticator(settings: ProcessSettings) -> Authenticator:
    """The authenticator that the settings describe, with its rate limit.

    Raises ConfigurationError when authentication would be off on an address that other machines can reach, and when
    AUTH_JWKS, AUTH_ISSUER and AUTH_AUDIENCE are not all set or all unset.
    """
    known = _authenticator(settings)
    if not settings.rate_limit_per_minute:
        return known
    return RateLimitedAuthenticator(known, RateLimit(settings.rate_limit_per_minute))


def requires_tokens(known: Authenticator) -> bool:
    """Whether callers need a token."""
    return not isinstance(known.known if isinstance(known, RateLimitedAuthenticator) else known, NoAuthenticator)


def _authenticator(settings: ProcessSettings) -> Authenticator:
    if settings.auth_jwks is not None:
        if not settings.auth_issuer or not settings.auth_audience:
            raise ConfigurationError(
                "AUTH_JWKS is set, so AUTH_ISSUER and AUTH_AUDIENCE must be set too: "
                "otherwise tokens of other issuers or for other audiences would be accepted"
            )
        # Without tokens nobody waits for the import of the cryptography.
        from .key_set import KeySet, key_set_from
        from .key_source import ensure_key_set
        from .token_verifier import TokenVerifier

        ensure_key_set(settings.auth_jwks)
        keys = KeySet(key_set_from(settings.auth_jwks))
        return TokenAuthenticator(TokenVerifier(keys, issuer=settings.auth_issuer, audience=settings.auth_audience))
    for name, value in (("AUTH_ISSUER", settings.auth_issuer), ("AUTH_AUDIENCE", settings.auth_audience)):
        if value:
            raise ConfigurationError(
                f"{name} is set and AUTH_JWKS is not, so tokens would not be verified: set AUTH_JWKS to the path or "
                f"URL of the issuer's key set, or unset {name}"
            )
    if not settings.listens_on_loopback and settings.environment != "local":
        raise ConfigurationError(
            f"AUTH_JWKS is not set and HTTP_HOST is {settings.http_host}: without authentication a service listens "
            "only on loopback (HTTP_HOST=127.0.0.1), or with ENVIRONMENT=local; "
            "set AUTH_JWKS to the path or URL of the issuer's key set"
        )
    log.warning(
        "authentication is disabled: every request has the role operator",
        action="auth.disabled",
        http_host=settings.http_host,
    )
    return NoAuthenticator()


class RequireRole:
    """A dependency of a route that requires one of the roles, and returns the principal."""

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
        except TokenRejected as error:
            raise HttpProblem(UNAUTHENTICATED, str(error), headers=CHALLENGE) from None
        except TooManyRequests as error:
            raise HttpProblem(TOO_MANY, str(error), headers={"Retry-After": str(error.retry_after)}) from None
        except KeysUnavailable as unavailable:
            raise HttpProblem(UNAVAILABLE, str(unavailable), headers={"Retry-After": "5"}) from None
        if not principal.has(*self.roles):
            raise HttpProblem(FORBIDDEN, f"this requires the role {' or '.join(self.roles)}")
        return principal
