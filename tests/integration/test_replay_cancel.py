"""A replay is cancelled over REST and by command: once under a key, with an audit entry, while it is unfinished."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from tests.support.command import CommandResult, event_trio
from tests.support.databases import TestDatabase
from tests.support.operators import publish_all, relay_app
from tests.support.outbox import fill, query
from tests.support.serving import serving

OTHER = UUID(int=1)
KEY = {"Idempotency-Key": "7c4a8d09-ca37-4e2b-9f6d-1b5e0c3a2f11"}
BECAUSE = {"reason": "because"}
ALL = {"everything": True, "dry_run": False, **BECAUSE}


@pytest.fixture
async def relay_url(outbox_database: TestDatabase) -> AsyncIterator[str]:
    """A relay that does no job: another one, which is alive and asleep, has all the lanes."""
    await query(
        outbox_database.url,
        "INSERT INTO outbox_relay (relay_id, heartbeat_at) VALUES ($1, now() + interval '1 day') RETURNING 1",
        OTHER,
    )
    await query(outbox_database.url, "UPDATE outbox_lane SET owner = $1 RETURNING 1", OTHER)
    await fill(outbox_database.url, 3)
    await publish_all(outbox_database)
    async with serving(relay_app(outbox_database)) as url:
        yield url


async def audited(database: TestDatabase) -> list[tuple[str, str, str]]:
    rows = await query(database.url, "SELECT actor, action, reason FROM outbox_audit ORDER BY id")
    return [(row["actor"], row["action"], row["reason"]) for row in rows]


async def test_a_replay_is_cancelled_once_under_its_key(relay_url: str, outbox_database: TestDatabase) -> None:
    async with httpx.AsyncClient(base_url=relay_url) as api:
        job = (await api.post("/v1/outbox/replays", json=ALL)).json()["replay"]
        path = f"/v1/outbox/replays/{job}/cancel"
        first = await api.post(path, json=BECAUSE, headers=KEY)
        assert (first.status_code, first.json()) == (200, {"replay": job, "replayed": 0})
        again = await api.post(path, json=BECAUSE, headers=KEY)
        assert (again.status_code, again.content) == (200, first.content)
        late = await api.post(path, json=BECAUSE)
        assert (late.status_code, late.json()["type"]) == (409, "urn:problem-type:outbox-state")
        assert (await api.post("/v1/outbox/replays/99/cancel", json=BECAUSE)).status_code == 404
        assert (await api.post(path, json={})).status_code == 422
        state = (await api.get(f"/v1/outbox/replays/{job}")).json()
        assert (state["cancelled_by"], state["cancelled_at"], state["progress"]) == ("local", state["finished_at"], 0.0)
        assert (await api.get("/v1/outbox")).json()["replay"] is None
    assert await audited(outbox_database) == [("local", "replay", "because"), ("local", "cancel_replay", "because")]


async def test_the_command_cancels_a_replay(relay_url: str, outbox_database: TestDatabase) -> None:
    async def outbox(*arguments: str, answer: str | None = None) -> CommandResult:
        why = ("--reason", "because")
        return await event_trio("outbox", *arguments, *why, answer=answer, EVENT_TRIO_RELAY_URL=relay_url)

    asked = await outbox("replay", "--everything", "--yes", "--no-wait", "--json")
    job = str(asked.data["id"])
    no = await outbox("cancel", job, answer="n")
    assert (no.status, f"Cancel replay {job}? [y/N]" in no.err) == (1, True)
    done = await outbox("cancel", job, "--yes")
    assert (done.status, done.out) == (0, f"replay {job}: cancelled\n")
    late = await outbox("cancel", job, "--yes")
    assert (late.status, "the replay has already finished" in late.err) == (1, True)
    assert [action for _, action, _ in await audited(outbox_database)] == ["replay", "cancel_replay"]
