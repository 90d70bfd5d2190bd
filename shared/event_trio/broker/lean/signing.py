"""Signature Version 4 for requests with constant headers. The signing key is derived once a day."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import digest
from typing import Protocol

ALGORITHM = "AWS4-HMAC-SHA256"
DATE_HEADER = "x-amz-date"
TOKEN_HEADER = "x-amz-security-token"  # noqa: S105 - a name
# AWS: SigV4, "Create a canonical request"; botocore leaves out the same headers.
UNSIGNED_HEADERS = frozenset({"expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"})


class Credentials(Protocol):
    """Frozen credentials of botocore."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str | None: ...


class Signer:
    """Signs POST requests to one URL without a query string.

    `headers` are the headers that every request has. `path` is the canonical path.
    """

    def __init__(
        self,
        *,
        path: str,
        headers: Mapping[str, str],
        region: str,
        service: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.offset_seconds = 0.0
        """Added to this machine's clock; see `note_time`."""
        self._clock = clock
        self._region = region
        self._service = service
        self._path = path
        self._headers = _canonical(headers)
        self._layouts = {with_token: self._layout(with_token=with_token) for with_token in (False, True)}
        self._stamped: tuple[int, str] = (-1, "")
        self._key_of: tuple[str, str] = ("", "")
        self._key = b""

    def sign(self, body: bytes, credentials: Credentials) -> dict[str, str]:
        """The headers to add to a request with this body: date, session token (if any) and signature.

        The time of the signature is the clock's, with `offset_seconds` added.
        """
        stamp = self._stamp()
        day = stamp[:8]
        token = credentials.token
        before, between, after, names = self._layouts[bool(token)]
        canonical_token = f"{TOKEN_HEADER}:{' '.join(token.split())}\n" if token else ""
        canonical = (
            f"{before}{DATE_HEADER}:{stamp}\n{between}{canonical_token}{after}\n{names}\n{sha256(body).hexdigest()}"
        )
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = digest(self._signing_key(credentials.secret_key, day), text.encode(), "sha256").hex()
        signed = {"X-Amz-Date": stamp}
        if token:
            signed["X-Amz-Security-Token"] = token
        signed["Authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
        return signed

    def note_time(self, there: float, *, tolerance_seconds: float) -> None:
        """Sign with the broker's time from now on if it differs from ours by more than the tolerance."""
        offset = there - self._clock()
        self.offset_seconds = offset if abs(offset) > tolerance_seconds else 0.0

    def _stamp(self) -> str:
        second = int(self._clock() + self.offset_seconds)
        if second != self._stamped[0]:
            self._stamped = (second, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second)))
        return self._stamped[1]

    def _signing_key(self, secret: str, day: str) -> bytes:
        if self._key_of != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = digest(key, part.encode(), "sha256")
            self._key_of, self._key = (secret, day), key
        return self._key

    def _layout(self, *, with_token: bool) -> tuple[str, str, str, str]:
        """The parts of the canonical request around the date and the token, and the names of the signed headers."""
        lines = {name: f"{name}:{value}\n" for name, value in sorted(self._headers.items())}
        before = "".join(line for name, line in lines.items() if name < DATE_HEADER)
        between = "".join(line for name, line in lines.items() if DATE_HEADER < name < TOKEN_HEADER)
        after = "".join(line for name, line in lines.items() if name > TOKEN_HEADER)
        names = sorted([*lines, DATE_HEADER, *([TOKEN_HEADER] if with_token else [])])
        return f"POST\n{self._path}\n\n{before}", between, after, ";".join(names)


def _canonical(headers: Mapping[str, str]) -> dict[str, str]:
    named = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    return {
        name: value
        for name, value in named.items()
        if name not in UNSIGNED_HEADERS and name not in (DATE_HEADER, TOKEN_HEADER, "authorization")
    }
