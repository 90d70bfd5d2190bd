"""Issues tokens for services on this machine, with a key pair in a folder."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm

from event_trio.http.tokens import Role
from tools.cli.errors import CommandFailed

ALGORITHM = "ES256"


@dataclass(frozen=True)
class LocalIssuer:
    """Signs tokens with the key in the folder, which is created when it is first needed."""

    folder: Path
    issuer: str
    audience: str

    @property
    def key_set(self) -> Path:
        """The key set file, for the setting AUTH_JWKS."""
        return self.folder / "jwks.json"

    def mint(self, subject: str, roles: Sequence[Role], *, expires_at: datetime) -> str:
        """Create a token. Raises CommandFailed when the key can be neither read nor created."""
        try:
            key = self._key()
            public = json.loads(ECAlgorithm.to_jwk(key.public_key()))
            key_id = _thumbprint(public)
            entry = {**public, "kid": key_id, "use": "sig", "alg": ALGORITHM}
            _write(self.key_set, json.dumps({"keys": [entry]}, indent=2).encode() + b"\n", mode=0o644)
        except (OSError, ValueError, TypeError) as error:
            raise CommandFailed(
                f"the key in {self.folder} cannot be used: {error}; delete the folder to create a new key"
            ) from None
        claims = {
            "sub": subject,
            "roles": [role.value for role in roles],
            "iss": self.issuer,
            "aud": self.audience,
            "exp": int(expires_at.timestamp()),
        }
        return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": key_id})

    def _key(self) -> EllipticCurvePrivateKey:
        path = self.folder / "private-key.pem"
        if not path.exists():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            key_pair = generate_private_key(SECP256R1())
            _write(
                path,
                key_pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
                mode=0o600,
                replace=False,
            )
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise ValueError(f"{path.name} is not a key for {ALGORITHM}")
        return key


def _thumbprint(public: dict[str, str]) -> str:
    """The id of a key: its thumbprint (RFC 7638)."""
    required = json.dumps({name: public[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(required.encode()).digest()).decode().rstrip("=")


def _write(path: Path, content: bytes, *, mode: int, replace: bool = True) -> None:
    """Write a file atomically; without `replace`, an existing file is kept."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        if replace:
            draft.replace(path)
        elif not path.exists():
            os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
