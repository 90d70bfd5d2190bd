"""The routes that show events, the inbox and the process, on a service without a broker."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from event_trio.outbox.reader import EventCriteria, RecordedEvents
from services.order.main import build
from tests.support.databases import TestDatabase, execute
from tests.support.letters import three_letters, waiting
from tests.support.order_service import order_service, place, settings
from tests.support.outbox import engine, fill
from tests.support.web import client

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {"X-Correlation-Id": 'one:"two"'.replace('"', "-"), "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


@pytest.fixture
async def api(orders_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with order_service(orders_database) as found:
        yield found


async def items(api: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """All pages of recorded events."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await api.get("/v1/recorded-events", params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_recorded_events_are_found_by_each_criterion(api: httpx.AsyncClient) -> None:
    order = await place(api, HEADERS)
    other = await place(api)
    await api.post(f"/v1/orders/{order['id']}/confirm", headers=HEADERS)
    (confirmed, placed) = await items(api, subject=order["id"], limit=1)
    assert (placed["type"], placed["sequence"], placed["state"]) == ("order.placed", 1, "recorded")
    assert (placed["correlation_id"], placed["trace_id"]) == (HEADERS["X-Correlation-Id"], TRACE)
    assert (placed["sent_at"], placed["causation_id"], confirmed["type"]) == (None, None, "order.confirmed")
    for query in ({"correlation_id": HEADERS["X-Correlation-Id"]}, {"trace_id": TRACE}):
        assert await items(api, **query, limit=1) == [confirmed, placed]
        assert await items(api, **query, subject=other["id"]) == []
        assert await items(api, **query, type="order.placed") == [placed]
    assert await items(api, causation_id=placed["event_id"]) == []
    assert len(await items(api)) == 3
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert await items(api, since=soon) == []
    shown = (await api.get(f"/v1/events/{placed['event_id']}")).json()
    assert shown == {"event_id": placed["event_id"], "recorded": placed, "processed": None}


@pytest.mark.parametrize(
    "query", [{"trace_id": "x"}, {"cursor": "1"}, {"limit": "0"}, {"since": "yesterday"}, {"subject": "\0"}]
)
async def test_invalid_criteria_are_refused(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    assert (await api.get("/v1/recorded-events", params=query)).status_code == 422


async def test_a_cursor_of_any_number_is_accepted(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/recorded-events", params={"cursor": "0" * 14 + "f" * 32})
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next_cursor": None})


async def test_a_page_examines_a_bounded_number_of_events(orders_database: TestDatabase) -> None:
    await fill(orders_database.url, 10, each=2)
    url = orders_database.url_for("order_api")
    async with engine(url) as made:
        events = RecordedEvents(async_sessionmaker(made), walked=6)
        rare = EventCriteria(correlation_id="nowhere")
        page, pages = await events.page(rare, limit=5), 1
        while page.following is not None:
            page, pages = await events.page(rare, limit=5, before=page.following), pages + 1
        assert (page.events, pages) == ((), 4)
        some = await events.page(EventCriteria(subject="s-3"), limit=1)
        assert [event.sequence for event in some.events] == [2]
        rest = await events.page(EventCriteria(subject="s-3"), limit=1, before=some.following)
        assert ([event.sequence for event in rest.events], rest.following) == ([1], None)


async def test_an_event_of_the_inbox_is_shown_with_its_deferred_message_and_actions(
    api: httpx.AsyncClient, orders_database: TestDatabase
) -> None:
    await execute(orders_database.url, *three_letters("order"))
    done = await api.post("/v1/dead-letters/discard", json={"event_id": "e-2", "reason": "a duplicate"})
    assert done.status_code == 200
    dead = (await api.get("/v1/events/e-1")).json()
    assert dead["recorded"] is None
    assert (dead["processed"]["outcome"], dead["processed"]["actions"]) == ("dead_letter", [])
    deferred = dead["processed"]["deferred"]
    assert (deferred["status"], deferred["reason"], deferred["due_at"]) == ("dead", "failed", None)
    gone = (await api.get("/v1/events/e-2")).json()["processed"]
    assert (gone["outcome"], gone["deferred"]) == ("discarded", None)
    assert [(each["action"], each["reason"]) for each in gone["actions"]] == [("discard", "a duplicate")]
    for unknown in ("e-9", "00000000-0000-7000-8000-000000000001"):
        answer = await api.get(f"/v1/events/{unknown}")
        assert (answer.status_code, "neither recorded nor processed" in answer.json()["detail"]) == (404, True)


async def test_a_discarded_event_says_so(api: httpx.AsyncClient, orders_database: TestDatabase) -> None:
    id = "00000000-0000-7000-8000-000000000001"
    await execute(
        orders_database.url,
        f"INSERT INTO outbox_audit (actor, action, reason, event_id) VALUES ('olga', 'discard', 'why', '{id}')",
    )
    answer = await api.get(f"/v1/events/{id}")
    assert (answer.status_code, "the relay's audit" in answer.json()["detail"]) == (404, True)


async def test_the_state_of_the_inbox(api: httpx.AsyncClient, orders_database: TestDatabase) -> None:
    nothing = {"value": 0, "at_least": False}
    empty = (await api.get("/v1/inbox")).json()
    assert [empty[name] for name in ("waiting", "blocked", "dead", "overdue")] == [nothing] * 4
    assert (empty["first_overdue"], empty["oldest_dead_at"]) == (None, None)
    await execute(orders_database.url, *waiting("order"))
    state = (await api.get("/v1/inbox")).json()
    assert [state[name]["value"] for name in ("waiting", "blocked", "dead", "overdue")] == [2, 3, 1, 0]
    assert state["oldest_dead_at"] is not None
    assert abs(datetime.now(UTC) - datetime.fromisoformat(state["database_time"])) < timedelta(minutes=1)
    await execute(
        orders_database.url,
        "UPDATE deferred_message SET due_at = now() - interval '2 minutes' WHERE event_id = 'a-1'",
        "UPDATE deferred_message SET status = 'waiting', due_at = now() - interval '3 minutes' WHERE event_id = 'c-2'",
    )
    late = (await api.get("/v1/inbox")).json()
    assert late["overdue"]["value"] == 2
    assert (late["first_overdue"]["event_id"], late["first_overdue"]["behind"]) == ("c-2", "c-1")


async def test_a_process_says_what_it_is(orders_database: TestDatabase) -> None:
    class Fast:
        def now(self) -> datetime:
            return datetime(2030, 1, 1, tzinfo=UTC)

        def monotonic(self) -> float:
            return 0.0

    made = settings(orders_database, topology_prefix="p-", aws_endpoint_url="http://127.0.0.1:9")
    async with client(build(made, clock=Fast())) as api:
        process = (await api.get("/v1/process")).json()
        topology = (await api.get("/v1/topology")).json()
    assert process == {
        **{"name": "order", "kind": "service", "started_at": "2030-01-01T00:00:00Z", "time": "2030-01-01T00:00:00Z"},
        **{"version": process["version"], "topology_prefix": "p-", "aws_region": "us-east-1"},
        **{"aws_endpoint_url": "http://127.0.0.1:9", "publishes": "p-order-events.fifo", "consumes": None},
        "authentication": False,
    }
    assert process["version"] not in {"", "unknown"}
    nothing = dict.fromkeys(("topic", "queue", "dead_letter_queue", "undelivered_queue"))
    assert topology == {**nothing, "handles": []}
