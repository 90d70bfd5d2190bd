"""Faults of the way to the broker."""

import asyncio

from tests.faults.proxies import broker_faults as faults
from tests.faults.proxies.broker import BrokerFault
from tests.faults.registry import fault
from tests.faults.run import Run

CALLS = ("PublishBatch", "ReceiveMessage", "DeleteMessageBatch")


async def strike(run: Run, answer: BrokerFault, *actions: str, count: int = 8, share: float = 0.5) -> None:
    """Apply a fault to a share of the relays' calls, until it was met so often."""
    run.system.relay_broker.set_fault(answer, *actions, when=lambda: run.dice.random() < share)
    await run.hits(count, *actions)
    run.system.relay_broker.clear()


@fault(8, "broker accepted, response lost", "P3 P4", "relay_broker")
async def response_lost(run: Run) -> None:
    await strike(run, faults.reset_after, *CALLS, count=12)


@fault(11, "status 200 with a cut or garbage body", "P2", "relay_broker")
async def garbage(run: Run) -> None:
    await strike(run, faults.garbage, *CALLS)
    await strike(run, faults.cut_off, "PublishBatch", count=3)


@fault(12, "name resolution fails", "P5", "relays", "relay_broker")
async def no_names(run: Run) -> None:
    flag = run.system.folder / "no-dns"
    flag.unlink(missing_ok=True)
    await asyncio.gather(
        *(relay.restart({"FAULT_NO_DNS": str(flag)}, launcher=True) for relay in run.system.relays)
    )  # fmt: skip
    run.afterwards(lambda: asyncio.gather(*(relay.restart() for relay in run.system.relays)))
    await run.more_effects(3)
    run.forget()  # the restarts showed, too
    flag.touch()
    run.system.relay_broker.cut_connections()
    await run.lasts(3.0)
    flag.unlink()
    await run.more_effects(3)


@fault(13, "TCP reset in mid-request", "P3 P4", "relay_broker")
async def reset(run: Run) -> None:
    await strike(run, faults.reset_before, *CALLS, count=12)


@fault(14, "black hole: no reply at all", "P5", "relay_broker")
async def black_hole(run: Run) -> None:
    await strike(run, faults.no_response, *CALLS, count=5, share=0.7)


@fault(15, "slow broker, up to three times the deadline of a call", "P5 P7", "relay_broker")
async def slow(run: Run) -> None:
    await strike(run, faults.slow(run.dice, 0.3, 3.0), *CALLS, count=15, share=1.0)


@fault(16, "keep-alive connections gone stale", "P4", "relay_broker", "sink_broker", reported=False)
async def stale_connections(run: Run) -> None:
    for _ in range(4):
        run.system.relay_broker.cut_connections()
        run.system.sink_broker.cut_connections()
        await run.more_effects(3)
