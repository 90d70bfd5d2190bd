"""Validates the source of the key set at startup, without a network call."""

from __future__ import annotations

from pathlib import Path

import jwt

from ..errors import ConfigurationError
from ..http_client.client import network_route
from ..urls import is_url, resource_url
from .key_set import parse_key_set


def ensure_key_set(source: str) -> None:
    """Raise ConfigurationError unless AUTH_JWKS is a usable URL or a file with keys."""
    if is_url(source):
        try:
            network_route(resource_url(source))
        except ValueError as error:
            raise ConfigurationError(f"AUTH_JWKS is wrong: {error}") from None
        return
    try:
        if not Path(source).is_file():
            raise ConfigurationError(f"AUTH_JWKS names {source}, which is neither a file nor a URL")
        parse_key_set(Path(source).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"AUTH_JWKS names {source}, which cannot be read: {error.strerror}") from None
    except RecursionError:
        raise ConfigurationError(f"AUTH_JWKS names {source}, which is not a key set: it is nested too deeply") from None
    except (ValueError, LookupError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise ConfigurationError(f"AUTH_JWKS names {source}, which is not a key set: {error}") from None
