"""The token that requests carry, and a description of it for messages that never contains the token."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Bearer:
    """A token and its source: `--token`, or the name of a variable."""

    token: str
    source: str

    def describe(self) -> str:
        """The source of the token, and its subject and roles if they can be read."""
        claims = _claims(self.token)
        if claims is None:
            return f"the token from {self.source} (not a JWT)"
        roles = claims.get("roles")
        names = ", ".join(map(str, roles)) if isinstance(roles, list) and roles else "none"
        return f"the token from {self.source} (subject {claims.get('sub', 'none')}, roles {names})"


def _claims(token: str) -> dict[str, object] | None:
    """The unverified claims; only the service verifies them."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    return claims if isinstance(claims, dict) else None
