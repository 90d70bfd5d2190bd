"""An operator holds a group without waiting events; its new events are held until the group is released."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from event_trio.database.connections import Pool
from event_trio.outbox.schema import LANES
from event_trio.signals import Signals
from services.relay.audit_log import Decision
from services.relay.jobs.holds import Holds
from services.relay.jobs.releases import Releases
from services.relay.metrics import RelayMetrics
from services.relay.operators.message_groups import MessageGroups
from services.relay.operators.operations import NotInOutbox, OperationRefused, Operations
from services.relay.publishing.backlog import NextEventAfter
from services.relay.publishing.outbox_reader import OutboxReader
from tests.support.command import event_trio
from tests.support.databases import OUTBOX_RELAY, OUTBOX_WRITER, TestDatabase
from tests.support.operators import publish_all, relay_app, relay_service
from tests.support.outbox import pool, query, record
from tests.support.serving import serving
from tests.support.waiting import eventually

OLGA = Decision("olga", "because")
BECAUSE = {"reason": "because"}


@pytest.fixture
async def relay_pool(outbox_database: TestDatabase) -> AsyncIterator[Pool]:
    async with pool(outbox_database.url_for(OUTBOX_RELAY)) as made:
        yield made


@pytest.fixture
def operations(relay_pool: Pool) -> Operations:
    return Operations(relay_pool, call_seconds=5.0)


def follow_up(pool: Pool) -> Holds:
    return Holds(pool, metrics=RelayMetrics(CollectorRegistry()), signals=Signals())


async def let_go(pool: Pool) -> None:
    releases = Releases(pool, signals=Signals())
    while await releases.step():
        pass


async def sendable(pool: Pool, release: NextEventAfter = NextEventAfter.ACKNOWLEDGED) -> list[tuple[str, int]]:
    reading = await OutboxReader(pool, release).read(range(LANES), excluded=[])
    return sorted((event.subject, int(json.loads(event.body)["sequence"])) for event in reading.events)


@pytest.mark.parametrize("release", list(NextEventAfter))
@pytest.mark.parametrize("known", [True, False])
async def test_new_events_of_a_group_held_while_empty_are_not_sent(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations, release: NextEventAfter, known: bool
) -> None:
    writer = outbox_database.url_for(OUTBOX_WRITER)
    if known:
        await record(writer, [("a", 1)])
        await publish_all(outbox_database)
    assert await operations.hold("a", OLGA) == 0
    await record(writer, [("a", 2), ("a", 3), ("b", 1)])
    assert await sendable(relay_pool, release) == [("b", 1)]
    assert await follow_up(relay_pool).hold_remaining() == 2
    rows = await query(outbox_database.url, "SELECT held_reason FROM outbox_event WHERE held_at IS NOT NULL")
    assert {row["held_reason"] for row in rows} == {"held by olga: because"}
    assert await sendable(relay_pool, release) == [("b", 1)]
    await operations.release("a", OLGA)
    assert await sendable(relay_pool, release) == [("b", 1)]
    assert await follow_up(relay_pool).hold_remaining() == 0
    await let_go(relay_pool)
    assert (await sendable(relay_pool, release))[0] == ("a", 2)


async def test_a_group_held_while_empty_is_released_before_it_has_events(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    await operations.hold("a", OLGA)
    with pytest.raises(OperationRefused, match="held already: held by olga: because"):
        await operations.hold("a", OLGA)
    await operations.release("a", OLGA)
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    assert await follow_up(relay_pool).hold_remaining() == 0
    await let_go(relay_pool)
    assert await sendable(relay_pool) == [("a", 1)]
    with pytest.raises(NotInOutbox, match="not held"):
        await operations.release("a", OLGA)


async def test_a_group_stays_held_though_all_its_held_events_were_acknowledged(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    assert await operations.hold("a", OLGA) == 1
    await query(outbox_database.url, "UPDATE outbox_event SET sent_at = now(), held_at = NULL RETURNING 1")
    await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 2)])
    assert await sendable(relay_pool) == []


async def test_discarding_an_event_of_a_group_that_is_held_does_not_release_it(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    first, _ = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2)])
    await operations.hold("a", OLGA)
    await query(outbox_database.url, "UPDATE outbox_event SET held_at = held_at - interval '1 hour' RETURNING 1")
    assert not (await operations.discard(first.id, OLGA)).released
    assert await sendable(relay_pool) == []


async def test_held_groups_are_listed_and_counted_with_and_without_waiting_events(
    outbox_database: TestDatabase, relay_pool: Pool, operations: Operations
) -> None:
    (event,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("c", 1)])
    for group in ("a", "c", "e"):
        await operations.hold(group, OLGA)
    groups = MessageGroups(relay_pool)
    found = await groups.held_groups(after="", limit=10)
    assert [(one.subject, one.head, one.behind.value, one.reason) for one in found] == [
        ("a", None, 0, "held by olga: because"),
        ("c", event.id, 0, "held by olga: because"),
        ("e", None, 0, "held by olga: because"),
    ]
    assert [one.subject for one in await groups.held_groups(after="a", limit=1)] == ["c"]
    registry = CollectorRegistry()
    await Holds(relay_pool, metrics=RelayMetrics(registry), signals=Signals()).hold_remaining()
    assert registry.get_sample_value("outbox_held_groups") == 3


@pytest.fixture
async def api(outbox_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with relay_service(outbox_database) as found:
        yield found


async def test_the_running_relay_shows_and_keeps_the_hold_of_an_empty_group(
    api: httpx.AsyncClient, outbox_database: TestDatabase
) -> None:
    answer = await api.post("/v1/outbox/groups/a/hold", json=BECAUSE)
    assert (answer.status_code, answer.json()["events"]) == (200, 0)
    group = (await api.get("/v1/outbox/groups/a")).json()
    assert (group["held"]["reason"], group["held"]["head"], group["events"]) == ("held by local: because", None, [])
    assert (await api.get("/v1/outbox")).json()["held_groups"] == {"value": 1, "at_least": False}
    assert (await api.post("/v1/outbox/groups/a/release", json=BECAUSE)).status_code == 202

    async def free() -> bool:
        return (await api.get("/v1/outbox/groups/a")).status_code == 404

    await eventually(free)


async def test_the_command_shows_the_hold_of_an_empty_group(outbox_database: TestDatabase) -> None:
    async with serving(relay_app(outbox_database)) as url:

        async def outbox(*arguments: str) -> Any:
            return await event_trio("outbox", *arguments, EVENT_TRIO_RELAY_URL=url)

        held = await outbox("hold", "a", "--reason", "because", "--yes")
        assert (held.status, "no event is pending" in held.out) == (0, True)
        listed = await outbox("held")
        assert (listed.status, "held by local: because" in listed.out) == (0, True)
        shown = await outbox("show", "a")
        assert (shown.status, "held by local: because" in shown.out) == (0, True)
