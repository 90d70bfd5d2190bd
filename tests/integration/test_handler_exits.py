"""Every way out of a handler is an outcome: none leaves its group running for ever, or ends the process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trio.consumer.event import Event
from event_trio.consumer.pipeline import handler_task as alone
from event_trio.consumer.policies import DeadLetter, FailurePolicy, PublishFailure
from event_trio.consumer.router import Router
from event_trio.testing import MemoryQueue
from tests.support.consuming import Counted, consumer_with, rows
from tests.support.databases import TestDatabase
from tests.support.events import envelope_of
from tests.support.waiting import eventually

Way = Callable[[], Awaitable[Any]]


async def cancel_oneself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.Event().wait()


async def raise_cancelled() -> None:
    raise asyncio.CancelledError


async def wait_for_the_cancelled() -> None:
    waited = asyncio.create_task(asyncio.Event().wait())
    waited.cancel()
    await waited


async def cancel_and_swallow() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise RuntimeError("swallowed") from None


async def fail_in_a_group_of_tasks() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.Event().wait())
        tasks.create_task(raise_runtime_error())


async def raise_runtime_error() -> None:
    raise RuntimeError("inside")


async def run_into_its_own_timeout() -> None:
    async with asyncio.timeout(0.01):
        await asyncio.Event().wait()


def raising(error: BaseException) -> Way:
    async def fail() -> None:
        raise error

    return fail


def raising_at_once() -> Awaitable[None]:
    raise KeyError("before anything could be awaited")


WAYS: dict[str, Way] = {
    "cancels-itself": cancel_oneself,
    "raises-cancelled": raise_cancelled,
    "waits-for-the-cancelled": wait_for_the_cancelled,
    "cancels-and-swallows": cancel_and_swallow,
    "task-group": fail_in_a_group_of_tasks,
    "own-timeout": run_into_its_own_timeout,
    "system-exit": raising(SystemExit(3)),
    "keyboard-interrupt": raising(KeyboardInterrupt()),
    "generator-exit": raising(GeneratorExit()),
    "group": raising(BaseExceptionGroup("all", [SystemExit(1), ValueError("x")])),
    "base": raising(BaseException("bare")),
    "stop-iteration": raising(StopIteration()),
    "not-awaited": raising_at_once,
    "no-coroutine": lambda: None,  # type: ignore[dict-item, return-value]
    "recursion": raising(RecursionError()),
    "memory": raising(MemoryError()),
}


async def leave(event: Event[Counted]) -> None:
    if (way := WAYS.get(event.envelope.subject)) is not None:
        await way()


async def run(database: TestDatabase, router: Router, subjects: list[str]) -> dict[str, str]:
    """What became of one event of each subject, and of one that comes after them."""
    queue = MemoryQueue()
    async with consumer_with(database, queue, router) as tested:
        for subject in [*subjects, "well"]:
            queue.send(envelope_of(Counted(), subject=subject))

        async def is_empty() -> bool:
            return queue.is_empty

        await eventually(is_empty, timeout=20)
        assert tested.consumer.trouble is None
        assert tested.task is not None
        assert not tested.task.done()
    return dict(await rows(database, "SELECT subject, outcome FROM processed_message"))


def routed(where: str, policy: FailurePolicy) -> Router:
    async def record(session: AsyncSession, event: Event[Counted], acted: Any) -> None:
        if where == "record":
            await leave(event)

    async def act(event: Event[Counted]) -> None:
        await leave(event)

    async def on_failure(session: AsyncSession, event: Event[Counted], reason: str) -> None:
        await leave(event)

    router = Router()
    failing = on_failure if where == "on_failure" else None
    if where == "on_failure":

        async def fail(session: AsyncSession, event: Event[Counted], acted: Any) -> None:
            if event.envelope.subject in WAYS:
                raise RuntimeError("the handler fails")

        router.handle(Counted, fail, policy=policy, on_failure=failing)
    else:
        router.handle(Counted, record, act=act if where == "act" else None, policy=policy)
    return router


@pytest.mark.parametrize("where", ["act", "record", "on_failure"])
async def test_every_way_out_is_an_outcome(notifications_database: TestDatabase, where: str) -> None:
    policy: FailurePolicy = PublishFailure() if where == "on_failure" else DeadLetter()
    found = await run(notifications_database, routed(where, policy), list(WAYS))
    assert found == {**dict.fromkeys(WAYS, "dead_letter"), "well": "handled"}


async def test_a_transaction_that_the_handler_ended_is_no_success(notifications_database: TestDatabase) -> None:
    """Or the event would be acknowledged without its inbox row, after a rollback that nobody heard of."""

    async def record(session: AsyncSession, event: Event[Counted], acted: Any) -> None:
        match event.envelope.subject:
            case "rolls-back":
                await session.rollback()
            case "closes":
                await session.close()
            case "rolls-back-and-goes-on":
                await session.rollback()
                await session.execute(text("SELECT 1"))

    router = Router()
    router.handle(Counted, record, policy=DeadLetter())
    subjects = ["rolls-back", "closes", "rolls-back-and-goes-on"]
    found = await run(notifications_database, router, subjects)
    assert found == {**dict.fromkeys(subjects, "dead_letter"), "well": "handled"}


async def test_a_handler_that_does_not_end_when_cancelled_is_left_to_itself(
    notifications_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "GRACE_SECONDS", 0.05)
    release = asyncio.Event()

    async def act(event: Event[Counted]) -> None:
        while event.envelope.subject == "stubborn" and not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def record(session: AsyncSession, event: Event[Counted], acted: Any) -> None:
        """Write nothing."""

    router = Router()
    router.handle(Counted, record, act=act, policy=DeadLetter(), timeout=0.2)
    try:
        found = await run(notifications_database, router, ["stubborn"])
    finally:
        release.set()
    assert found == {"stubborn": "dead_letter", "well": "handled"}
