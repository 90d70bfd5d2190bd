"""The database roles of the order service have exactly the privileges that they need."""

import base64
import secrets

import asyncpg
import pytest

from event_trio.database.roles import scram_verifier, set_passwords
from services.order.migrate import migrate
from tests.support.databases import TestDatabase, database, execute, fetch
from tests.support.order_service import order_service, place
from tests.support.servers import PostgresServer


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outbox_event SET envelope = ''",
        "UPDATE outbox_event SET published_at = now()",
        "DELETE FROM outbox_event",
        "SELECT * FROM outbox_lane",
        "UPDATE outbox_lane SET owner = NULL",
        "DELETE FROM orders",
        "UPDATE orders SET customer_id = 'mallory'",
        "UPDATE order_line SET unit_price = 0",
        "DELETE FROM order_line",
        "UPDATE order_history SET data = '{}'",
        "DELETE FROM order_history",
        "TRUNCATE orders CASCADE",
        "UPDATE idempotency_key SET body = ''",
        "UPDATE alembic_version SET version_num = 'x'",
        "CREATE TABLE mine ()",
        "CREATE ROLE mallory",
        "SET ROLE order_relay",
    ],
)
async def test_the_api_role_lacks_other_privileges(orders_database: TestDatabase, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(orders_database.url_for("order_api"), statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM orders",
        "SELECT 1 FROM order_line",
        "SELECT 1 FROM order_history",
        "SELECT 1 FROM idempotency_key",
        "INSERT INTO outbox_event (event_id) VALUES (gen_random_uuid())",
        "UPDATE outbox_event SET envelope = ''",
        "UPDATE outbox_event SET sequence = 7",
        "DELETE FROM outbox_lane",
        "CREATE TABLE mine ()",
    ],
)
async def test_the_relay_role_lacks_other_privileges(orders_database: TestDatabase, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(orders_database.url_for("order_relay"), statement)


async def test_the_relay_role_has_its_privileges(orders_database: TestDatabase) -> None:
    async with order_service(orders_database) as api:
        await place(api)
    relay = orders_database.url_for("order_relay")
    assert len(await fetch(relay, "SELECT envelope FROM outbox_event")) == 1
    await execute(relay, "UPDATE outbox_event SET sent_at = now()", "DELETE FROM outbox_event")


@pytest.mark.parametrize("role", ["order_api", "order_relay"])
async def test_a_role_has_timeouts(orders_database: TestDatabase, role: str) -> None:
    connection = await asyncpg.connect(orders_database.url_for(role))
    try:
        assert await connection.fetchval("SHOW lock_timeout") == "5s"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"
        # None before Postgres 17, which does not know it.
        assert await connection.fetchval("SELECT current_setting('transaction_timeout', true)") in ("15min", None)
    finally:
        await connection.close()


async def test_only_the_service_s_roles_may_connect(postgres: PostgresServer) -> None:
    async with database(postgres.admin_url, purpose="closed") as found:
        await migrate(found.url)
        rows = await fetch(found.url, "SELECT has_database_privilege('public', current_database(), 'CONNECT') AS may")
        assert rows[0]["may"] is False
        assert await fetch(found.url_for("order_api"), "SELECT 1 FROM orders") == []


async def test_the_scram_verifier_is_that_of_postgres(postgres: PostgresServer) -> None:
    role, password = f"test_{secrets.token_hex(6)}", 'it\'s a "secret" \\ one'
    await execute(postgres.admin_url, f"CREATE ROLE {role} LOGIN")
    try:
        await set_passwords(postgres.admin_url, {role: password})
        ours = await stored_password(postgres, role)
        quoted = password.replace("'", "''")
        await execute(postgres.admin_url, f"ALTER ROLE {role} PASSWORD '{quoted}'")
        theirs = await stored_password(postgres, role)
    finally:
        await execute(postgres.admin_url, f"DROP ROLE {role}")
    salt = base64.b64decode(theirs.split("$")[1].split(":")[1])
    assert theirs == scram_verifier(password, salt)
    assert ours != theirs
    assert ours == scram_verifier(password, base64.b64decode(ours.split("$")[1].split(":")[1]))


@pytest.mark.parametrize("password", ["pässword", "tab\tbed"])
def test_a_non_ascii_role_password_is_rejected(password: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        scram_verifier(password)


async def stored_password(postgres: PostgresServer, role: str) -> str:
    (row,) = await fetch(postgres.admin_url, "SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
    return str(row["rolpassword"])
