"""Every operation of the OpenAPI documents, called with every role and by a customer to whom nothing belongs."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from event_trio.http.route_roles import required_roles
from services.notification.main import build as build_notification
from services.order.main import build as build_order
from tests.support.access import Callers, authenticated, callers
from tests.support.access_matrix import NOTIFICATIONS, ORDERS, RELAY, UNKNOWN, Operation
from tests.support.databases import TestDatabase, execute, fetch
from tests.support.letters import three_letters, waiting
from tests.support.notifications import NOTIFICATION, notification_settings, notified
from tests.support.operators import relay_app
from tests.support.order_service import place, settings
from tests.support.web import client

Values: TypeAlias = Mapping[str, str]
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND NOT tablename = ANY($1) ORDER BY 1"
DIGEST = """SELECT md5(coalesce(string_agg(rows::text, '|' ORDER BY rows::text), '')) FROM "{table}" AS rows"""
# What a relay changes by itself.
HEARTBEATS = ["outbox_lane", "outbox_relay"]
LETTERS = {"event_id": "e-1", "id": "1"}


def documented(app: FastAPI) -> dict[str, dict[str, Any]]:
    """The operations of the document that require a token."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
        if operation.get("security")
    }


async def digest(database: TestDatabase) -> dict[str, str]:
    """A digest of each table."""
    found = {}
    for (table,) in await fetch(database.url, TABLES, HEARTBEATS):
        ((found[table],),) = await fetch(database.url, DIGEST.format(table=table))
    return found


async def verify(
    app: FastAPI,
    matrix: Mapping[str, Operation],
    who: Callers,
    database: TestDatabase,
    values: Callable[[httpx.AsyncClient], Awaitable[Values]],
) -> None:
    """Every operation for every caller: first those who are refused, and change nothing; then those who are admitted.

    Raises AssertionError also if an operation is missing in the matrix, or the document names other roles.
    """
    operations = documented(app)
    assert operations.keys() == matrix.keys(), "give each operation of the document an entry in the matrix"
    assert {f"{method} {path}" for method, path in required_roles(app.routes)} == operations.keys()
    assert {name: _roles(operation) for name, operation in operations.items()} == {
        name: set(entry.roles.split()) for name, entry in matrix.items()
    }
    async with client(app) as api:
        given = await values(api)
        before = await digest(database)
        for name, operation in operations.items():
            for caller in who:
                if matrix[name].is_refused(caller):
                    answer = await _call(api, name, matrix[name], given, who[caller])
                    assert answer.status_code == matrix[name].expected(caller), (caller, name, answer.text)
                    assert str(answer.status_code) in operation["responses"], (caller, name)
                    assert answer.headers["Content-Type"] == "application/problem+json"
                    assert (answer.headers.get("WWW-Authenticate") == "Bearer") is (answer.status_code == 401)
        assert await digest(database) == before
        for name, operation in operations.items():
            for caller in who:
                if not matrix[name].is_refused(caller):
                    answer = await _call(api, name, matrix[name], await values(api), who[caller])
                    assert answer.status_code == matrix[name].expected(caller), (caller, name, answer.text)
                    assert str(answer.status_code) in operation["responses"], (caller, name)
                    assert caller != "other" or answer.json()["items"] == []


def _roles(operation: Mapping[str, Any]) -> set[str]:
    return {role for alternative in operation["security"] for role in alternative["HTTPBearer"]}


async def _call(
    api: httpx.AsyncClient, name: str, operation: Operation, values: Values, headers: Mapping[str, str]
) -> httpx.Response:
    method, path = name.split()
    keyed = {"Idempotency-Key": str(uuid4())} if method == "POST" else {}
    return await api.request(
        method,
        path.format(**{**values, **operation.values}),
        json=operation.body,
        params=operation.query,
        headers={**headers, **keyed},
    )


async def test_the_order_service(orders_database: TestDatabase, tmp_path: Path) -> None:
    issuer, auth = authenticated(tmp_path)
    who = callers(issuer)
    await execute(orders_database.url, *three_letters("order"), *waiting("order"))

    async def values(api: httpx.AsyncClient) -> Values:
        return {"order_id": (await place(api, who["operator"]))["id"], "sequence": "1", **LETTERS}

    await verify(build_order(settings(orders_database, **auth)), ORDERS, who, orders_database, values)


async def test_the_notification_service(notifications_database: TestDatabase, tmp_path: Path) -> None:
    issuer, auth = authenticated(tmp_path)
    await execute(notifications_database.url, *notified(), *three_letters("notification"), *waiting("notification"))

    async def values(api: httpx.AsyncClient) -> Values:
        return {"notification_id": NOTIFICATION, **LETTERS}

    app = build_notification(notification_settings(notifications_database, **auth))
    await verify(app, NOTIFICATIONS, callers(issuer), notifications_database, values)


async def test_the_relay(outbox_database: TestDatabase, tmp_path: Path) -> None:
    issuer, auth = authenticated(tmp_path)

    async def values(api: httpx.AsyncClient) -> Values:
        return {"subject": "a", "event_id": UNKNOWN, "id": "1"}

    await verify(relay_app(outbox_database, **auth), RELAY, callers(issuer), outbox_database, values)
    actors = await fetch(outbox_database.url, "SELECT DISTINCT actor FROM outbox_audit")
    assert [row["actor"] for row in actors] == ["olga"]


@pytest.mark.parametrize("change", ["missing", "more roles", "another status"])
async def test_a_difference_is_found(outbox_database: TestDatabase, tmp_path: Path, change: str) -> None:
    issuer, auth = authenticated(tmp_path)
    name = "POST /v1/outbox/pause"
    matrix = dict(RELAY)
    match change:
        case "missing":
            del matrix[name]
        case "more roles":
            matrix[name] = Operation("reader operator", body=matrix[name].body)
        case _:
            matrix[name] = Operation("operator", 204, matrix[name].body)

    async def values(api: httpx.AsyncClient) -> Values:
        return {"subject": "a", "event_id": UNKNOWN, "id": "1"}

    with pytest.raises(AssertionError, match="pause"):
        await verify(relay_app(outbox_database, **auth), matrix, callers(issuer), outbox_database, values)
