"""The OpenAPI documents are complete, and a client generator creates a working client."""

import asyncio
import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.order.main import build
from tests.support.databases import TestDatabase
from tests.support.order_service import ORDER, settings
from tests.support.sources import ROOT
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

FOLDER = ROOT / "docs" / "reference" / "openapi"
NAMES = ("order", "notification", "relay")
OPEN = {"/livez", "/readyz"}

each = pytest.mark.parametrize("name", NAMES)


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def operations(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every operation."""
    for path, methods in document(name)["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


@each
def test_every_operation_has_a_unique_name_and_a_description(name: str) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(name)]
    assert len(ids) == len(set(ids))
    assert [id for id in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)*", id)] == []
    assert [path for path, _, operation in operations(name) if not operation.get("summary")] == []


@each
def test_every_error_is_a_problem(name: str) -> None:
    for path, method, operation in operations(name):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and path not in OPEN:
                assert list(response["content"]) == ["application/problem+json"], (path, method, status)


@each
def test_security_is_documented_for_routes_that_need_a_token(name: str) -> None:
    for path, method, operation in operations(name):
        assert ("security" in operation) is (path not in OPEN), (path, method)
        expected = {"401", "403", "429", "500"} if path not in OPEN else {"500"}
        assert expected <= operation["responses"].keys(), (path, method)
        assert path not in OPEN or "429" not in operation["responses"]


def test_changes_of_orders_accept_idempotency_keys_and_if_match() -> None:
    for path, method, operation in operations("order"):
        if not path.startswith("/v1/orders"):
            continue
        headers = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "header"}
        if method == "post":
            assert headers == ({"Idempotency-Key"} if path == "/v1/orders" else {"Idempotency-Key", "If-Match"})
        else:
            assert headers == {"If-None-Match"}


@each
def test_every_change_accepts_an_idempotency_key(name: str) -> None:
    changes = [(path, operation) for path, method, operation in operations(name) if method == "post"]
    assert changes
    for path, operation in changes:
        assert "Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]}, path
        assert {"409", "422"} <= operation["responses"].keys(), path


def test_request_fields_have_examples() -> None:
    schemas = document("order")["components"]["schemas"]
    for name in ("PlaceOrder", "LineRequest", "ChangeReason", "OrderView", "Problem"):
        fields = schemas[name]["properties"].values()
        plain = [field for field in fields if field.get("type") in {"string", "integer"} and "format" not in field]
        assert plain
        assert [field for field in plain if not field.get("examples")] in (
            [],
            [schemas[name]["properties"].get("correlation_id")],
        )


async def generate(name: str, folder: Path) -> None:
    """Run the generator; every warning is an error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning", "--meta", "none"),
        *("--path", str(FOLDER / f"{name}.json"), "--output-path", str(folder / f"{name}_client")),
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


@pytest.mark.parametrize("name", ["notification", "relay"])
async def test_client_generators_accept_the_document(name: str, tmp_path: Path) -> None:
    await generate(name, tmp_path)
    made = {path.stem for path in (tmp_path / f"{name}_client" / "api").glob("*/*.py")}
    assert {operation["operationId"] for _, _, operation in operations(name)} <= made


async def test_a_generated_client_places_and_reads_an_order(
    orders_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await generate("order", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    made: Any = importlib.import_module("order_client")
    models: Any = importlib.import_module("order_client.models")
    placing: Any = importlib.import_module("order_client.api.orders.place_order")
    confirming: Any = importlib.import_module("order_client.api.orders.confirm_order")
    reading: Any = importlib.import_module("order_client.api.orders.read_order")

    issuer = Issuer()
    auth: dict[str, Any] = {
        "auth_jwks": issuer.write_key_set(tmp_path),
        "auth_issuer": ISSUER,
        "auth_audience": AUDIENCE,
    }
    app = build(settings(orders_database, **auth))
    token = issuer.token("olga", "operator")
    client = made.AuthenticatedClient(base_url="http://test", token=token)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test", headers={"Authorization": f"Bearer {token}"}
        ) as transport,
    ):
        client.set_async_httpx_client(transport)
        order = await placing.asyncio(client=client, body=models.PlaceOrder.from_dict(ORDER), idempotency_key="one")
        again = await placing.asyncio(client=client, body=models.PlaceOrder.from_dict(ORDER), idempotency_key="one")
        assert (order.total, order.state.value, again.id) == ("25.00", "placed", order.id)
        problem = await confirming.asyncio(order.id, client=client, if_match='"7"')
        assert (problem.status, problem.type_) == (412, "urn:problem-type:precondition-failed")
        assert (await confirming.asyncio(order.id, client=client, if_match='"1"')).version == 2
        assert (await reading.asyncio(order.id, client=client)).state.value == "confirmed"
