"""A database is restored to an earlier time: what is reported, what is repeated, and what sets it right.

It follows docs/how-to/restore-a-database.md, whose commands it executes.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.databases import TestDatabase
from tests.support.snapshots import snapshot
from tests.support.sources import ROOT
from tests.support.stack import Stack
from tests.support.trio import ready
from tests.support.waiting import eventually

PAGE = ROOT / "docs" / "how-to" / "restore-a-database.md"
MODULE = "services.order.continue_sequences"
REASON = ("--reason", "a database was restored", "--yes")


async def change(system: Stack, order: str, action: str) -> None:
    async with httpx.AsyncClient(base_url=system.urls["order"]) as api:
        answer = await api.post(f"/v1/orders/{order}/{action}")
        assert answer.is_success, answer.text


async def handled(system: Stack, order: str, count: int) -> list[dict[str, Any]]:
    """What the notification service processed of the order, oldest first, when it is so much."""

    async def enough() -> list[dict[str, Any]]:
        found = await system.get("notification", "/v1/processed-messages", subject=order, limit=100)
        items = sorted(found["items"], key=lambda item: item["processed_at"])
        assert len(items) >= count, items
        return items

    return await eventually(enough, timeout=30.0)


async def start(system: Stack, service: str) -> None:
    """Start a service and its relay."""
    await system.start(service, system.order() if service == "order" else system.notification())
    await system.start(f"{service}-relay", system.relay(service))
    for name in (service, f"{service}-relay"):
        async with httpx.AsyncClient(base_url=system.urls[name]) as api:
            await ready(api)


async def continue_sequences(database: TestDatabase, file: Path, *arguments: str) -> str:
    """The output of the page's command."""
    assert f"{MODULE} {file.name}" in PAGE.read_text()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, str(file), *arguments),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database.url_for("order_api")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


@pytest.mark.timeout(120)
async def test_orders_restored_to_an_earlier_time(system: Stack, tmp_path: Path) -> None:
    kept, unsent, left_behind = [await system.place() for _ in range(3)]
    for order in (kept, unsent, left_behind):
        await system.settled(order)
    await system.stop("order-relay")
    await change(system, unsent, "confirm")  # recorded before the restored time, and sent after it
    await system.stop("order")
    began = datetime.now(UTC).isoformat()
    async with snapshot(system.orders) as copy:
        await start(system, "order")
        for order in (kept, left_behind):
            for action in ("confirm", "ship"):
                await change(system, order, action)
        lost = await system.place()
        for order, count in ((kept, 3), (unsent, 2), (left_behind, 3), (lost, 1)):
            await handled(system, order, count)
        await system.stop("order", "order-relay")
        await copy.restore()

    await start(system, "order")
    report = await system.run("events", "unknown", "--since", began, "--json")
    assert report.status == 1, report.err
    assert {(event["subject"], event["type"], event["processed_by"]) for event in report.data["events"]} == {
        *(
            (order, kind, "notification")
            for order in (kept, left_behind)
            for kind in ("order.confirmed", "order.shipped")
        ),
        (lost, "order.placed", "notification"),
    }
    assert report.data["complete"] is True

    # What was recorded and had not been sent is sent again, and has no second effect.
    async def is_sent_again() -> bool:
        (event, _) = (await system.get("order", "/v1/recorded-events", subject=unsent))["items"]
        return bool(event["sent_at"])

    await eventually(is_sent_again, timeout=30.0)

    await change(system, left_behind, "confirm")
    assert (await handled(system, left_behind, 4))[-1]["outcome"] == "handled_stale"

    file = tmp_path / "unknown.json"
    file.write_text(report.out)
    assert "2 of 3 orders would be changed" in await continue_sequences(system.orders, file)
    said = await continue_sequences(system.orders, file, "--apply")
    assert f"{kept} continues after 3 instead of 1" in said
    assert f"{lost} is lost: the database has no such order" in said
    again = await continue_sequences(system.orders, file)
    assert f"{kept} needs no change: it continues after 3" in again
    assert "0 of 3 orders would be changed" in again
    await change(system, kept, "confirm")
    last = (await handled(system, kept, 4))[-1]
    assert (last["outcome"], last["sequence"]) == ("handled", 4)
    assert len(await handled(system, unsent, 2)) == 2
    assert len((await system.get("notification", "/v1/notifications", order_id=unsent))["items"]) == 2


@pytest.mark.timeout(120)
async def test_notifications_restored_to_an_earlier_time(system: Stack) -> None:
    before = await system.place()
    await system.settled(before)
    await system.stop("notification", "notification-relay")
    began = datetime.now(UTC).isoformat()
    async with snapshot(system.notifications) as copy:
        await start(system, "notification")
        await change(system, before, "confirm")
        after = await system.place()
        for order in (before, after):
            await handled(system, order, 1)
            await system.settled(order)
        await handled(system, before, 2)
        await system.stop("notification", "notification-relay")
        await copy.restore()

    await start(system, "notification")
    assert len(await handled(system, before, 1)) == 1
    assert (await system.get("notification", "/v1/processed-messages", subject=after))["items"] == []

    replay = await system.run("outbox", "replay", "--service", "order", "--since", began, *REASON)
    assert replay.status == 0, replay.err
    for order, types in ((before, ["order.placed", "order.confirmed"]), (after, ["order.placed"])):
        items = await handled(system, order, len(types))
        assert [(item["type"], item["outcome"]) for item in items] == [(type, "handled") for type in types]
        shown = (await system.get("notification", "/v1/notifications", order_id=order))["items"]
        assert len(shown) == len(types)
    report = await system.run("events", "unknown", "--since", began)
    assert (report.status, report.out) == (0, ""), report.out
