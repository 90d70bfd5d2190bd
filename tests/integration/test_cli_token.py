"""`event-trio token` creates tokens that the services with its key set accept, and only those."""

import asyncio
import stat
from pathlib import Path

import pytest

from event_trio.http.key_set import KeySet, key_set_from
from event_trio.http.token_verifier import TokenVerifier
from event_trio.http.tokens import Role, TokenRejected
from tests.support.command import event_trio
from tests.support.databases import TestDatabase
from tests.support.order_service import order_service, place


async def mint(folder: Path, *more: str) -> str:
    ran = await event_trio("token", "--keys", str(folder), *more)
    assert ran.status == 0, ran.err
    return ran.out.strip()


def verifier(folder: Path, *, issuer: str = "event-trio-local") -> TokenVerifier:
    return TokenVerifier(KeySet(key_set_from(str(folder / "jwks.json"))), issuer=issuer, audience="event-trio")


async def test_a_service_accepts_the_token_with_its_subject_and_role(
    orders_database: TestDatabase, tmp_path: Path
) -> None:
    keys = tmp_path / "auth"
    ran = await event_trio("token", "--keys", str(keys), "--subject", "customer-1", "--role", "customer", "--json")
    services = {name.lower(): value for name, value in ran.data["services"].items()}
    operator, customer = await mint(keys), ran.data["token"]
    async with order_service(orders_database, http_host="0.0.0.0", **services) as api:
        assert (await api.get("/v1/orders")).status_code == 401
        order = await place(api, {"Authorization": f"Bearer {operator}"}, customer_id="customer-2")
        answer = await api.get(f"/v1/orders/{order['id']}", headers={"Authorization": f"Bearer {customer}"})
        assert answer.status_code == 404
        assert (await place(api, {"Authorization": f"Bearer {customer}"}))["customer_id"] == "customer-1"


async def test_roles_subject_and_expiry_are_as_requested(tmp_path: Path) -> None:
    token = await mint(tmp_path, "-s", "olga", "-r", "operator", "-r", "service", "--hours", "1")
    principal = await verifier(tmp_path).verify(token)
    assert (principal.subject, principal.roles) == ("olga", frozenset({Role.OPERATOR, Role.SERVICE}))
    with pytest.raises(TokenRejected):
        await verifier(tmp_path, issuer="somebody-else").verify(token)


async def test_concurrent_commands_share_one_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    keys = tmp_path / "auth"
    tokens = await asyncio.gather(*(mint(keys) for _ in range(3)))
    for token in tokens:
        assert (await verifier(keys).verify(token)).has(Role.OPERATOR)
    assert sorted(path.name for path in keys.iterdir()) == ["jwks.json", "private-key.pem"]
    assert stat.S_IMODE((keys / "private-key.pem").stat().st_mode) == 0o600
    assert '"d"' not in (keys / "jwks.json").read_text()


async def test_standard_output_contains_only_the_token(tmp_path: Path) -> None:
    ran = await event_trio("token", "--keys", str(tmp_path))
    assert ran.out.count(".") == 2
    assert ran.out.count("\n") == 1
    assert f"AUTH_JWKS={tmp_path}/jwks.json" in ran.err
    assert ran.out.strip() not in ran.err


async def test_an_unreadable_key_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "private-key.pem").write_text("no key")
    ran = await event_trio("token", "--keys", str(tmp_path))
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("error: the key in ")
