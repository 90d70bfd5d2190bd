"""Every grant that the migrations leave behind: who may do what to which table, read from the database itself."""

import pytest

from tests.support.databases import TestDatabase, fetch

OUTBOX = {
    "outbox_event",
    "outbox_lane",
    "outbox_relay",
    "outbox_control",
    "outbox_replay",
    "outbox_release",
    "outbox_hold",
    "outbox_audit",
    "outbox_idempotency_key",
}
TABLES = """
SELECT relname, privilege_type FROM pg_class, aclexplode(relacl)
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
AND grantee = coalesce((SELECT oid FROM pg_roles WHERE rolname = $1), 0)
"""
COLUMNS = """
SELECT relname, attname, privilege_type FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, aclexplode(attacl)
WHERE relnamespace = 'public'::regnamespace AND grantee = (SELECT oid FROM pg_roles WHERE rolname = $1)
"""
DOMAINS = ("order", "notification")


@pytest.fixture
def databases(orders_database: TestDatabase, notifications_database: TestDatabase) -> dict[str, TestDatabase]:
    return {"order": orders_database, "notification": notifications_database}


async def granted(database: TestDatabase, role: str) -> dict[str, set[str]]:
    """What a role (or everybody, for a role that there is not) may do, by table."""
    found: dict[str, set[str]] = {}
    for row in await fetch(database.url, TABLES, role):
        found.setdefault(row["relname"], set()).add(row["privilege_type"])
    for row in await fetch(database.url, COLUMNS, role):
        found.setdefault(row["relname"], set()).add(f"{row['privilege_type']} of columns")
    return found


@pytest.mark.parametrize("domain", DOMAINS)
async def test_a_relay_sees_the_outbox_and_nothing_of_the_service(
    databases: dict[str, TestDatabase], domain: str
) -> None:
    found = await granted(databases[domain], f"{domain}_relay")
    assert set(found) == OUTBOX | {"alembic_version"}
    assert found["alembic_version"] == {"SELECT"}
    assert found["outbox_event"] == {"SELECT", "DELETE", "UPDATE of columns"}  # it records nothing
    assert found["outbox_idempotency_key"] == {"SELECT", "INSERT", "DELETE"}  # an answer stays as it was given


@pytest.mark.parametrize("domain", DOMAINS)
async def test_a_relay_marks_events_and_does_not_change_what_they_say(
    databases: dict[str, TestDatabase], domain: str
) -> None:
    rows = await fetch(databases[domain].url, COLUMNS, f"{domain}_relay")
    columns = {row["attname"] for row in rows if row["relname"] == "outbox_event"}
    assert {"sent_at", "published_at", "held_at"} <= columns
    assert not {"id", "event_id", "source", "subject", "sequence", "lane", "envelope", "attributes"} & columns


@pytest.mark.parametrize("domain", DOMAINS)
async def test_a_service_records_events_and_cannot_touch_them_again(
    databases: dict[str, TestDatabase], domain: str
) -> None:
    found = await granted(databases[domain], f"{domain}_api")
    # It sees whether its outbox is carried and what was discarded of it, and changes nothing about that.
    carried = {"outbox_relay": {"SELECT"}, "outbox_control": {"SELECT"}, "outbox_audit": {"SELECT of columns"}}
    assert {table: found[table] for table in OUTBOX & set(found)} == {"outbox_event": {"SELECT", "INSERT"}, **carried}
    assert found["alembic_version"] == {"SELECT"}
    assert found["operator_action"] == {"SELECT", "INSERT"}  # what operators did stays as it was written
    assert found["idempotency_key"] == {"SELECT", "INSERT", "DELETE"}


@pytest.mark.parametrize("domain", DOMAINS)
async def test_nobody_may_do_more_than_read_and_write_rows(databases: dict[str, TestDatabase], domain: str) -> None:
    for role in (f"{domain}_api", f"{domain}_relay"):
        rights = {right for rights in (await granted(databases[domain], role)).values() for right in rights}
        assert rights <= {"SELECT", "SELECT of columns", "INSERT", "UPDATE", "UPDATE of columns", "DELETE"}
    assert await granted(databases[domain], "nobody") == {}
