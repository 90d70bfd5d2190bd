"""Every claim of a signed token is validated before it is used."""

import asyncio
from typing import Any

import httpx
import jwt
import pytest
from fastapi import APIRouter, Depends
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from event_trio.http.application import create_app
from event_trio.http.authorization import RateLimitedAuthenticator, RequireRole, TokenAuthenticator
from event_trio.http.key_set import KeySet
from event_trio.http.rate_limit import RateLimit
from event_trio.http.token_verifier import TokenVerifier
from event_trio.http.tokens import Principal, Role, TokenRejected
from tests.support.tokens import AUDIENCE, ISSUER, Issuer
from tests.support.web import client

ISSUED_BY = Issuer()
LATER = 4_000_000_000


async def fetch() -> str:
    return ISSUED_BY.key_set()


def verifier() -> TokenVerifier:
    return TokenVerifier(KeySet(fetch), issuer=ISSUER, audience=AUDIENCE)


def token(claims: dict[str, Any], **header: Any) -> str:
    """Sign any claims: the library validates some of them before it signs."""
    import json

    return jwt.api_jws.encode(
        json.dumps(claims).encode(), ISSUED_BY.key, algorithm="ES256", headers={"kid": ISSUED_BY.key_id, **header}
    )


def claims(**changed: Any) -> dict[str, Any]:
    return {"sub": "ada", "iss": ISSUER, "aud": AUDIENCE, "exp": LATER, "roles": ["operator"], **changed}


WRONG: list[dict[str, Any]] = [
    {"roles": [{"name": "operator"}]},
    {"roles": [["operator"]]},
    {"roles": {"operator": True}},
    {"roles": "operator"},
    {"roles": [None]},
    {"roles": 7},
    {"roles": ["operator"] * 1000},
    {"sub": ""},
    {"sub": "   "},
    {"sub": 7},
    {"sub": None},
    {"sub": ["ada"]},
    {"sub": "a\x00b"},
    {"sub": "a\nb"},
    {"sub": "\ud800"},
    {"sub": "a" * 256},
    {"exp": str(LATER)},
    {"exp": True},
    {"exp": 1e300},
    {"exp": 10**400},
    {"exp": float("inf")},
    {"exp": float("nan")},
    {"exp": [LATER]},
    {"exp": {}},
    {"exp": -1},
    {"nbf": "soon"},
    {"nbf": [1]},
    {"iat": "now"},
    {"iat": {}},
    {"iss": [ISSUER]},
    {"iss": {"is": ISSUER}},
    {"aud": {"is": AUDIENCE}},
    {"aud": [[AUDIENCE]]},
    {"aud": 7},
    {"aud": []},
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong)[:40])
async def test_a_malformed_claim_is_401(wrong: dict[str, Any]) -> None:
    router = APIRouter()

    @router.get("/mine")
    async def mine(caller: Principal = Depends(RequireRole(Role.OPERATOR))) -> str:  # noqa: B008 - a route's way
        return caller.subject

    known = RateLimitedAuthenticator(TokenAuthenticator(verifier()), RateLimit(600))
    app = create_app(
        title="t", description="", routers=[router], authenticator=known, registry=CollectorRegistry(), checks=[]
    )
    async with client(app) as api:
        answer = await ask(api, claims(**wrong))
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (await ask(api, claims())).status_code == 200


async def ask(api: httpx.AsyncClient, said: dict[str, Any]) -> httpx.Response:
    return await api.get("/mine", headers={"Authorization": f"Bearer {token(said)}"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["sub", "roles", "exp", "nbf", "iat", "iss", "aud", "jti", "more"])


@given(st.dictionaries(NAMES, JSON, max_size=4))
@examples(max_examples=150, deadline=None)
def test_any_claims_result_in_a_principal_or_a_rejection(changed: dict[str, Any]) -> None:
    async def verify() -> Principal | None:
        try:
            return await verifier().verify(token(claims(**changed)))
        except TokenRejected:
            return None

    found = asyncio.run(verify())
    if found is not None:
        assert 0 < len(found.subject) <= 255
        assert found.subject.isprintable()
        found.subject.encode()


@pytest.mark.parametrize("header", [{"kid": 7}, {"kid": None}, {"kid": ["a"]}, {"kid": {}}])
async def test_a_malformed_header_is_rejected(header: dict[str, Any]) -> None:
    good = token(claims())
    import base64
    import json

    odd = base64.urlsafe_b64encode(json.dumps({"alg": "ES256", **header}).encode()).decode().rstrip("=")
    with pytest.raises(TokenRejected):
        await verifier().verify(f"{odd}.{good.partition('.')[2]}")


async def test_deep_and_long_tokens_are_rejected() -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    assert (await verifier().verify(token(claims(more=deep)))).subject == "ada"
    with pytest.raises(TokenRejected):
        await verifier().verify(token(claims(more="x" * 20_000)))
