"""The token that requests carry, and what may be said of it: never the token itself."""

import base64
import binascii
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Bearer:
    """A token and where it came from: `--token`, or a variable's name."""

    token: str
    source: str

    def describe(self) -> str:
        """Where it came from, whose it is and which roles it claims, as far as it can be read."""
        claims = _claims(self.token)
        if claims is None:
            return f"the token from {self.source} (which is no JWT)"
        roles = claims.get("roles")
        names = ", ".join(map(str, roles)) if isinstance(roles, list) and roles else "none"
        return f"the token from {self.source} (subject {claims.get('sub', 'none')}, roles {names})"


def _claims(token: str) -> dict[str, object] | None:
    """What the token says of itself; whether that is true is for the service to find out."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    return claims if isinstance(claims, dict) else None
