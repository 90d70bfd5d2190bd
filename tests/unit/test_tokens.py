"""Bearer tokens: accepted and rejected ones, and outages of the key set."""

import base64
import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import jwt
import pytest

from event_trio.http.key_set import KeySet, key_set_from
from event_trio.http.token_verifier import TokenVerifier
from event_trio.http.tokens import KeysUnavailable, Principal, Role, TokenRejected
from tests.support.tokens import AUDIENCE, ISSUER, Issuer


class Source:
    """A source of a key set that can be changed and broken, and counts its requests."""

    def __init__(self, text: str) -> None:
        self.text: str | None = text
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        if self.text is None:
            raise OSError("down")
        return self.text


class Watch:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


def verifier(source: Source, watch: Watch | None = None) -> TokenVerifier:
    return TokenVerifier(KeySet(source, watch or Watch()), issuer=ISSUER, audience=AUDIENCE)


async def test_a_valid_token_gives_the_principal(issuer: Issuer) -> None:
    token = issuer.token("customer-1", "customer", "admiral")
    found = await verifier(Source(issuer.key_set())).verify(token)
    assert found == Principal("customer-1", frozenset({Role.CUSTOMER}))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": time.time() - 3600}, "expired"),
        ({"exp": None}, "not valid"),
        ({"iss": "https://someone.else"}, "not valid"),
        ({"iss": None}, "not valid"),
        ({"aud": "another-service"}, "not valid"),
        ({"aud": None}, "not valid"),
        ({"nbf": time.time() + 3600}, "not valid"),
        ({"sub": None}, "not valid"),
        ({"sub": 7}, "not valid"),
    ],
)
async def test_invalid_claims_are_rejected(issuer: Issuer, claims: dict[str, object], reason: str) -> None:
    with pytest.raises(TokenRejected, match=reason):
        await verifier(Source(issuer.key_set())).verify(issuer.token("c", "operator", **claims))


async def test_a_different_key_with_the_same_id_is_rejected(issuer: Issuer) -> None:
    with pytest.raises(TokenRejected, match="not valid"):
        await verifier(Source(issuer.key_set())).verify(Issuer().token("c", "operator"))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", "Bearer"])
async def test_malformed_tokens_are_rejected(issuer: Issuer, token: str) -> None:
    with pytest.raises(TokenRejected):
        await verifier(Source(issuer.key_set())).verify(token)


async def test_an_unsigned_token_is_rejected(issuer: Issuer) -> None:
    header, body, _ = issuer.token("c", "operator").split(".")
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": issuer.key_id}).encode()).decode().rstrip("=")
    with pytest.raises(TokenRejected, match="not valid"):
        await verifier(Source(issuer.key_set())).verify(f"{unsigned}.{body}.")
    assert header != unsigned


async def test_symmetric_keys_in_the_key_set_are_ignored(issuer: Issuer) -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    encoded = base64.urlsafe_b64encode(secret).decode().rstrip("=")
    keys = json.loads(issuer.key_set())["keys"]
    source = Source(json.dumps({"keys": [*keys, {"kty": "oct", "kid": "shared", "k": encoded}]}))
    claims = {"sub": "c", "iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 60, "roles": ["operator"]}
    forged = jwt.encode(claims, secret, algorithm="HS256", headers={"kid": "shared"})
    with pytest.raises(TokenRejected, match="key is unknown"):
        await verifier(source).verify(forged)


async def test_rotation_is_followed_and_unknown_keys_do_not_flood_the_source(issuer: Issuer) -> None:
    source, watch = Source(issuer.key_set()), Watch()
    known = verifier(source, watch)
    await known.verify(issuer.token("c"))
    rotated = Issuer("key-2")
    source.text = rotated.key_set()
    for _ in range(5):
        with pytest.raises(TokenRejected, match="key is unknown"):
            await known.verify(rotated.token("c"))
    assert source.asked == 1
    watch.seconds = 11
    assert (await known.verify(rotated.token("c"))).subject == "c"
    assert source.asked == 2


async def test_cached_keys_are_used_during_an_outage_of_the_source(issuer: Issuer) -> None:
    source, watch = Source(issuer.key_set()), Watch()
    known = verifier(source, watch)
    await known.verify(issuer.token("c"))
    source.text, watch.seconds = None, 3600.0
    assert (await known.verify(issuer.token("c"))).subject == "c"
    assert source.asked == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": []}', '{"keys": [{"kid": "a", "kty": "EC"}]}'])
async def test_without_keys_tokens_are_neither_accepted_nor_rejected(issuer: Issuer, text: str) -> None:
    with pytest.raises(KeysUnavailable):
        await verifier(Source(text)).verify(issuer.token("c"))


class KeySetPage(BaseHTTPRequestHandler):
    """Serves its server's `text`."""

    def do_GET(self) -> None:
        text = getattr(self.server, "text", "")
        self.send_response(200 if text else 503)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Write nothing to standard error."""


@pytest.mark.parametrize(("scheme", "up"), [("http", True), ("HTTP", True), ("http", False)])
async def test_a_key_set_from_a_url(issuer: Issuer, scheme: str, up: bool) -> None:
    with HTTPServer(("127.0.0.1", 0), KeySetPage) as server:
        server.text = issuer.key_set() if up else ""  # type: ignore[attr-defined]
        thread = Thread(target=server.handle_request)
        thread.start()
        keys = KeySet(key_set_from(f"{scheme}://127.0.0.1:{server.server_port}/jwks.json"))
        if up:
            assert (await keys.find(issuer.key_id)).algorithm_name == "ES256"
        else:
            with pytest.raises(KeysUnavailable):
                await keys.find(issuer.key_id)
        thread.join()


async def test_a_key_set_from_a_file(issuer: Issuer, tmp_path: Path) -> None:
    assert await key_set_from(issuer.write_key_set(tmp_path))() == issuer.key_set()
