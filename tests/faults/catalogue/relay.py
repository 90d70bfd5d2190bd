"""Faults of relays: killed at each step, suspended, many at once."""

import asyncio
import signal

from tests.faults.actors import Actor
from tests.faults.proxies.broker import Forward
from tests.faults.proxies.http import Message
from tests.faults.registry import fault
from tests.faults.run import Run

LEASE_SECONDS = 3.0


def kill_all(run: Run) -> None:
    """Kill both relays; the orchestrator starts them again."""
    for relay in run.system.relays:
        relay.signal(signal.SIGKILL)


async def killed_at(run: Run, statement: bytes) -> None:
    """Kill the relays when one sends this statement for the first time after its start."""
    struck = asyncio.Event()

    def strike() -> None:
        kill_all(run)
        struck.set()

    await asyncio.gather(*(relay.stop() for relay in run.system.relays))
    run.system.relay_database.watch(statement, strike)
    await asyncio.gather(*(relay.start() for relay in run.system.relays))
    await asyncio.wait_for(struck.wait(), 20.0)
    await run.more_effects(5)


@fault(4, "relay killed after it claimed", "P2 P5", "relays", "relay_db")
async def killed_after_claim(run: Run) -> None:
    await killed_at(run, b"FROM outbox_event")


@fault(5, "relay killed after the request went out, before the reply", "P2 P3", "relays", "relay_broker")
async def killed_in_call(run: Run) -> None:
    async def answer(request: Message, forward: Forward) -> bytes | None:
        await forward(request)
        kill_all(run)
        return None

    for _ in range(2):
        run.system.relay_broker.set_fault(answer, "PublishBatch")
        await run.hits(1, "PublishBatch")
        run.system.relay_broker.clear()
        await run.more_effects(5)


@fault(6, "relay killed after the reply, before it is recorded", "P4", "relays")
async def killed_before_record(run: Run) -> None:
    await asyncio.gather(*(relay.restart({"FAILPOINT": "relay.acknowledged"}) for relay in run.system.relays))

    async def died() -> bool:
        return any(at >= run.began for relay in run.system.relays for at, _ in relay.ends)

    run.afterwards(lambda: asyncio.gather(*(relay.restart() for relay in run.system.relays)))
    await run.until(died)
    await run.more_effects(5)


@fault(7, "relay killed in the recording transaction", "P2 P4", "relays", "relay_db")
async def killed_in_record(run: Run) -> None:
    await killed_at(run, b"UPDATE outbox_event")


@fault(26, "lease holder suspended past its expiry, then resumed", "P3 P4", "relays", progress=True)
async def suspended(run: Run) -> None:
    for relay in run.system.relays:
        relay.signal(signal.SIGSTOP)
        await run.lasts(LEASE_SECONDS + 1.5)
        await run.more_effects(1)
        relay.signal(signal.SIGCONT)
        await run.more_effects(3)


@fault(27, "lease holder suspended inside the broker call", "P3 P4", "relays", "relay_broker")
async def suspended_in_call(run: Run) -> None:
    async def answer(request: Message, forward: Forward) -> bytes | None:
        for relay in run.system.relays:
            relay.signal(signal.SIGSTOP)
        response = await forward(request)
        await run.lasts(LEASE_SECONDS + 1.0)
        for relay in run.system.relays:
            relay.signal(signal.SIGCONT)
        return response.to_bytes()

    run.system.relay_broker.set_fault(answer, "PublishBatch")
    await run.hits(1, "PublishBatch")
    run.system.relay_broker.clear()
    await run.more_effects(3)


@fault(28, "many relays race for everything", "P3", "relays", reported=False, progress=True)
async def race(run: Run) -> None:
    more = _more(run, 2)
    await asyncio.gather(*(relay.start() for relay in more))
    try:
        await run.more_effects(25)
    finally:
        await asyncio.gather(*(relay.stop() for relay in more))


@fault(29, "relays scaled up and down under load", "P3 P5", "relays", reported=False, progress=True)
async def scaled(run: Run) -> None:
    for relay in _more(run, 3):
        await relay.start()
        await run.more_effects(4)
        if run.dice.random() < 0.5:
            relay.signal(signal.SIGKILL)
        await relay.stop()
        await run.more_effects(4)


def _more(run: Run, count: int) -> list[Actor]:
    one = run.system.relays[0]
    return [Actor(f"relay-{10 + n}", one.module, one.environment, one.folder) for n in range(count)]
