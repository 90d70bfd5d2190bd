"""The relay's REST API for operators while the broker is down: answers and rejections."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.relay.api.problems import NOT_MIGRATED
from tests.support.databases import OUTBOX_WRITER, TestDatabase
from tests.support.operators import publish_all, refuse, relay_service
from tests.support.outbox import fill, query, record
from tests.support.waiting import eventually

BECAUSE = {"reason": "because"}


@pytest.fixture
async def api(outbox_database: TestDatabase) -> AsyncIterator[httpx.AsyncClient]:
    async with relay_service(outbox_database) as found:
        yield found


async def test_the_state_of_the_outbox(api: httpx.AsyncClient, outbox_database: TestDatabase) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("sent", 1), ("sent", 2)])
    await query(outbox_database.url, "UPDATE outbox_event SET sent_at = clock_timestamp() RETURNING 1")
    first, *_ = await record(outbox_database.url_for(OUTBOX_WRITER), [("bad", 1), ("good", 1), ("good", 2)])
    await refuse(outbox_database, first.id)
    state = (await api.get("/v1/outbox")).json()
    assert state["pending"] == {"value": 2, "at_least": False}
    assert state["unconfirmed"] == {"value": 2, "at_least": False}
    assert state["held_groups"] == {"value": 1, "at_least": False}
    assert 0 <= state["oldest_pending_seconds"] < 60
    assert state["paused"] is None
    assert state["replay"] is None


async def test_lanes_and_their_owners(api: httpx.AsyncClient) -> None:
    async def all_owned() -> dict[str, Any]:
        found: dict[str, Any] = (await api.get("/v1/outbox/lanes")).json()
        return found if all(lane["owner"] for lane in found["lanes"]) else {}

    found = await eventually(all_owned)
    (relay,) = found["relays"]
    assert (relay["alive"], relay["lanes"]) == (True, 64)
    assert {(lane["owner"], lane["owner_alive"]) for lane in found["lanes"]} == {(relay["relay_id"], True)}
    assert [lane["lane"] for lane in found["lanes"]] == list(range(64))


async def test_held_groups_show_the_reason_and_the_number_of_waiting_events(
    api: httpx.AsyncClient, outbox_database: TestDatabase
) -> None:
    await fill(outbox_database.url, 5, each=3, prefix="g")
    await fill(outbox_database.url, 1, each=1_500, prefix="long")
    rows = await query(outbox_database.url, "SELECT event_id, subject FROM outbox_event WHERE sequence = 1")
    firsts: dict[str, UUID] = {row["subject"]: row["event_id"] for row in rows}
    for subject in ("g-1", "g-3", "g-5", "long-1"):
        await refuse(outbox_database, firsts[subject])
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (
            await api.get("/v1/outbox/held-groups", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        ).json()
        assert len(page["items"]) <= 2
        found += page["items"]
        cursor = page["next_cursor"]
    assert [group["subject"] for group in found] == ["g-1", "g-3", "g-5", "long-1"]
    for group in found:
        assert group["reason"] == "InvalidParameter: no"
        assert group["cause"] == group["head"] == str(firsts[group["subject"]])
        assert group["releasing"] is False
    assert [group["behind"]["value"] for group in found] == [2, 2, 2, 1000]
    assert [group["behind"]["at_least"] for group in found] == [False, False, False, True]


async def test_a_group_is_held_and_released_by_the_running_relay(
    api: httpx.AsyncClient, outbox_database: TestDatabase
) -> None:
    await record(outbox_database.url_for(OUTBOX_WRITER), [("order/1#x", n) for n in range(1, 4)])
    path = "/v1/outbox/groups/order%2F1%23x"
    assert (await api.get(path)).json()["held"] is None
    answer = await api.post(f"{path}/hold", json=BECAUSE)
    assert answer.json() == {"subject": "order/1#x", "events": 3, "settles_in_seconds": 8.0}
    group = (await api.get(path)).json()
    assert group["held"]["reason"] == "held by local: because"
    assert [(event["sequence"], event["state"]) for event in group["events"]] == [(n, "held") for n in (1, 2, 3)]
    assert (await api.post(f"{path}/release", json=BECAUSE)).status_code == 202

    async def free() -> bool:
        return (await api.get(path)).json()["held"] is None

    await eventually(free)


async def test_a_discarded_event_is_shown_from_the_audit(api: httpx.AsyncClient, outbox_database: TestDatabase) -> None:
    first, second = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1), ("a", 2)], note="ada@example.com")
    await refuse(outbox_database, first.id)
    life = (await api.get(f"/v1/outbox/events/{first.id}")).json()
    assert (life["state"], life["attempts"], life["last_error"]) == ("held", 1, "InvalidParameter: no")
    assert (life["correlation_id"], life["type"], life["audit"]) == ("test-a", "order.placed", [])
    answer = await api.post(f"/v1/outbox/events/{first.id}/discard", json=BECAUSE)
    assert answer.json() == {"event_id": str(first.id), "subject": "a", "released": True}
    after = (await api.get(f"/v1/outbox/events/{first.id}")).json()
    assert after["state"] == "discarded"
    assert after["discarded_at"] == after["audit"][0]["at"]
    same = ("subject", "sequence", "type", "recorded_at", "held_at", "attempts", "correlation_id", "size", "lane")
    assert {name: after[name] for name in same} == {name: life[name] for name in same}
    assert (await api.post(f"/v1/outbox/events/{first.id}/discard", json=BECAUSE)).status_code == 404
    await publish_all(outbox_database)
    assert (await api.get(f"/v1/outbox/events/{second.id}")).json()["state"] == "published"
    audit = await api.get("/v1/outbox/audit", params={"event_id": str(first.id)})
    assert [entry["action"] for entry in audit.json()["items"]] == ["discard"]
    assert "ada@example.com" not in audit.text + str(life) + str(after)


async def test_a_discard_that_is_too_early_has_retry_after(
    api: httpx.AsyncClient, outbox_database: TestDatabase
) -> None:
    (event,) = await record(outbox_database.url_for(OUTBOX_WRITER), [("a", 1)])
    path = f"/v1/outbox/events/{event.id}/discard"
    answer = await api.post(path, json=BECAUSE)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem-type:outbox-state")
    assert "Retry-After" not in answer.headers
    await api.post("/v1/outbox/groups/a/hold", json=BECAUSE)
    answer = await api.post(path, json=BECAUSE)
    assert answer.status_code == 409
    assert 1 <= int(answer.headers["Retry-After"]) <= 8


async def test_a_replay_is_counted_requested_and_finished(
    api: httpx.AsyncClient, outbox_database: TestDatabase
) -> None:
    await fill(outbox_database.url, 4, each=5)
    await publish_all(outbox_database)
    counted = await api.post("/v1/outbox/replays", json={"subject": "s-1"})
    assert (counted.status_code, counted.json()) == (200, {"dry_run": True, "events": 5, "replay": None})
    asked = await api.post("/v1/outbox/replays", json={"subject": "s-1", "dry_run": False, **BECAUSE})
    assert (asked.status_code, asked.json()) == (202, {"dry_run": False, "events": 5, "replay": 1})
    assert asked.headers["Location"] == "/v1/outbox/replays/1"

    async def done() -> dict[str, Any]:
        found: dict[str, Any] = (await api.get("/v1/outbox/replays/1")).json()
        return found if found["finished_at"] else {}

    replay = await eventually(done)
    assert (replay["replayed"], replay["progress"], replay["criteria"]) == (5, 1.0, {"subject": "s-1"})
    assert (replay["requested_by"], replay["reason"]) == ("local", "because")
    assert (await api.get("/v1/outbox")).json()["pending"]["value"] == 5


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/v1/outbox/replays", {}, "criteria or `everything`"),
        ("/v1/outbox/replays", {"everything": True, "subject": "a"}, "not both"),
        ("/v1/outbox/replays", {"subject": "a", "dry_run": False}, "`reason` is required"),
        ("/v1/outbox/replays", {"since": "2026-01-01T00:00:00"}, "with an offset"),
        ("/v1/outbox/replays", {"sincerely": "2026-01-01T00:00:00Z"}, "Extra inputs"),
        ("/v1/outbox/pause", {"reason": "  "}, "reason"),
        ("/v1/outbox/pause", {}, "reason"),
        ("/v1/outbox/groups/a%20b/hold", BECAUSE, "subject"),
    ],
)
async def test_an_invalid_request_is_refused(
    api: httpx.AsyncClient, path: str, body: dict[str, Any], reason: str
) -> None:
    answer = await api.post(path, json=body)
    assert answer.status_code == 422
    assert reason in answer.text


async def test_readiness_shows_who_paused_the_outbox(api: httpx.AsyncClient) -> None:
    assert (await api.get("/readyz")).json()["checks"]["paused"] == {"ok": True, "required": False, "detail": None}
    await api.post("/v1/outbox/pause", json={"reason": "the broker moves"})
    check = (await api.get("/readyz")).json()["checks"]["paused"]
    assert check["ok"] is False
    assert check["detail"].startswith("paused by local since 20")
    assert check["detail"].endswith("Z: the broker moves")
    assert (await api.get("/v1/outbox")).json()["paused"]["reason"] == "the broker moves"


async def test_the_audit_is_read_page_by_page(api: httpx.AsyncClient) -> None:
    for _ in range(3):
        await api.post("/v1/outbox/pause", json=BECAUSE)
        await api.post("/v1/outbox/resume", json=BECAUSE)
    first = (await api.get("/v1/outbox/audit", params={"limit": 4})).json()
    second = (await api.get("/v1/outbox/audit", params={"limit": 4, "cursor": first["next_cursor"]})).json()
    actions = [entry["action"] for entry in first["items"] + second["items"]]
    assert actions == ["resume", "pause"] * 3
    assert second["next_cursor"] is None


async def test_missing_tables_are_reported(api: httpx.AsyncClient, outbox_database: TestDatabase) -> None:
    await query(outbox_database.url, "DROP TABLE outbox_audit")
    answer = await api.get("/v1/outbox/audit")
    assert (answer.status_code, answer.json()["detail"]) == (503, NOT_MIGRATED)


async def test_a_group_may_have_any_name(api: httpx.AsyncClient, outbox_database: TestDatabase) -> None:
    names = ["held", "a/b", "a/hold/b"]
    await record(outbox_database.url_for(OUTBOX_WRITER), [(name, 1) for name in names])
    for name in names:
        answer = await api.get(f"/v1/outbox/groups/{name}")
        assert (answer.status_code, answer.json()["subject"]) == (200, name)
