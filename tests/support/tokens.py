"""A token issuer for tests: a key pair, its key set, and signed tokens."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

ISSUER = "https://issuer.test"
AUDIENCE = "event-trio"


def _key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


@dataclass
class Issuer:
    """Signs tokens with one key."""

    key_id: str = "key-1"
    key: EllipticCurvePrivateKey = field(default_factory=_key)

    def key_set(self) -> str:
        """The public key as a JWKS document."""
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "ES256"}]})

    def write_key_set(self, folder: Path) -> str:
        """The path of a file with the key set."""
        path = folder / "jwks.json"
        path.write_text(self.key_set())
        return str(path)

    def token(self, subject: str, *roles: str, **claims: object) -> str:
        """A token that is valid for an hour, unless `claims` say otherwise; a claim of None is omitted."""
        body = {
            "sub": subject,
            "roles": list(roles),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": time.time() + 3600,
            **claims,
        }
        present = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(present, self.key, algorithm="ES256", headers={"kid": self.key_id})

    def bearer(self, subject: str, *roles: str) -> Mapping[str, str]:
        """The Authorization header of a request."""
        return {"Authorization": f"Bearer {self.token(subject, *roles)}"}
