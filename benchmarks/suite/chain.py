"""The whole chain under an open load: order service, two relays, notification service, Postgres and a broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.stub_broker.process import StubBrokerProcess, stub_broker
from benchmarks.suite.bench import POLL_SECONDS, Bench, problems
from benchmarks.suite.load import Placed
from benchmarks.suite.results import LatencyFound, NumberFound, Section
from benchmarks.suite.trio import CHECK, DEAD_LETTER_QUEUES, ORDERS, SUBSCRIPTIONS, Trio, running_trio
from event_trio.broker.aws import Aws
from infra.deploy import deploy
from tools.embedded.localstack import EmbeddedLocalStack

DRAIN_SECONDS = 60.0
WARM_UP_ORDERS = 20
GOAL_RATE = 40.0
IDLE_RATE = 4.0
"""Orders a second that find an idle system."""
IDLE_STEPS = 2
"""The idle step takes so many times as long as the others, so that its p99 is not the slowest order."""
PREFIX = "bench-"


async def measure(bench: Bench) -> Section:
    """Latencies at each rate, and processor time per order; then idle on LocalStack, and at the rate of the goal."""
    sizes = bench.sizes
    section = Section("Whole chain")
    section.conditions += [
        f"Open loop: orders of two lines at random intended times (Poisson), {sizes.step_seconds:g} s a rate, after "
        f"{WARM_UP_ORDERS} orders that are not measured; stub broker at {sizes.latency_ms:g} ms, then LocalStack.",
        "`taken` is the answer to POST, `published` the arrival of PublishBatch at the broker, `confirmed` the "
        "deletion from the publish check, `handled` the commit of the handler's transaction. All but the steps count "
        "from the intended time; `commit` is that of the transaction which placed the order. Postgres keeps the times "
        "of commits.",
    ]
    for rate in sizes.rates:
        async with (
            stub_broker(
                bench.folder,
                subscriptions=SUBSCRIPTIONS,
                queues=DEAD_LETTER_QUEUES,
                latency_ms=sizes.latency_ms,
                times=True,
            ) as stub,
            running_trio(bench, stub.url) as trio,
        ):
            await _on_stub(bench, stub, trio, rate, section)
    async with EmbeddedLocalStack() as localstack:
        await deploy(Aws(endpoint_url=localstack.endpoint_url), prefix=PREFIX)
        async with running_trio(bench, localstack.endpoint_url, prefix=PREFIX) as trio:
            await _warm_up(trio)
            await _on_localstack(trio, IDLE_RATE, IDLE_STEPS * sizes.step_seconds, section)
            await _on_localstack(trio, min(GOAL_RATE, max(sizes.rates)), sizes.step_seconds, section)
    return section


async def _on_stub(bench: Bench, stub: StubBrokerProcess, trio: Trio, rate: float, section: Section) -> None:
    await _warm_up(trio)
    cpu = {name: process.cpu_seconds() for name, process in trio.processes.items()}
    placed = await _place(trio, rate, bench.sizes.step_seconds)
    times, report = await stub.times(), await stub.report()
    section.problems += problems(report, f"{ORDERS}.fifo", who=f"{rate:g} orders/s")
    handled = _since(placed, await trio.handled())
    last = max((each.answered_at for each in placed), default=0.0)
    late = sum(at > last for at in handled.values())
    section.numbers.append(NumberFound(f"not handled at the end, {rate:g} orders/s", "of all", [late / len(placed)]))
    for name, process in trio.processes.items():
        spent = (process.cpu_seconds() - cpu[name]) / len(placed) * 1000
        section.numbers.append(NumberFound(f"{name} CPU, {rate:g} orders/s", "ms/order", [spent]))
    section.latencies += _latencies(placed, times, handled, _since(placed, await trio.committed()), rate)


async def _on_localstack(trio: Trio, rate: float, seconds: float, section: Section) -> None:
    placed = await _place(trio, rate, seconds)
    intended = {each.order_id: each.intended_at for each in placed}
    committed, handled = _since(placed, await trio.committed()), _since(placed, await trio.handled())
    name, plot = f"{rate:g} orders/s, LocalStack", f"localstack-{rate:g}"
    goals = {
        IDLE_RATE: ("idle-p50", "idle-p99"),
        GOAL_RATE: ("trio-localstack-p50", "trio-localstack-p99"),
    }.get(rate, ("", ""))
    section.latencies += [
        LatencyFound(f"taken, {name}", [(each.answered_at - each.intended_at) * 1000 for each in placed], plot=plot),
        LatencyFound(f"handled, {name}", _milliseconds(intended, handled), plot=plot),
        LatencyFound(f"from commit to handled, {name}", _milliseconds(committed, handled), *goals, plot),
    ]


def _latencies(
    placed: list[Placed], times: dict[str, Any], handled: dict[str, float], committed: dict[str, float], rate: float
) -> list[LatencyFound]:
    intended = {each.order_id: each.intended_at for each in placed}
    ends = {
        "taken": {each.order_id: each.answered_at for each in placed},
        "published": _of(intended, times["published"], f"{ORDERS}.fifo"),
        "confirmed": _of(intended, times["deleted"], CHECK),
        "handled": handled,
    }
    found = [
        LatencyFound(f"{name}, {rate:g} orders/s", _milliseconds(intended, end), plot=f"chain-{rate:g}")
        for name, end in ends.items()
    ]
    if rate == GOAL_RATE:
        found[-1] = replace(found[-1], goal="trio-p50", goal_p99="trio-p99")
    ends["commit"] = committed
    steps = (("commit", "published"), ("commit", "handled"), ("published", "confirmed"))
    return found + [
        LatencyFound(f"from {one} to {other}, {rate:g} orders/s", _milliseconds(ends[one], ends[other]))
        for one, other in steps
    ]


def _of(orders: Collection[str], rows: list[list[Any]], name: str) -> dict[str, float]:
    """The times that the stub broker kept for a topic or a queue, of these orders."""
    return {group: at for where, group, _, at in rows if where == name and group in orders}


async def _warm_up(trio: Trio) -> None:
    await _complete(trio, [await trio.orders.place() for _ in range(WARM_UP_ORDERS)])


async def _place(trio: Trio, rate: float, seconds: float) -> list[Placed]:
    placed = await trio.orders.open_loop(rate, seconds)
    await _complete(trio, placed)
    return placed


async def _complete(trio: Trio, placed: list[Placed]) -> None:
    """Wait until these orders were handled, and their events are recorded as published."""
    expected, deadline = {each.order_id for each in placed}, time.monotonic() + DRAIN_SECONDS
    while not (expected <= (await trio.handled()).keys() and expected <= (await trio.published()).keys()):
        trio.ensure_running()
        if time.monotonic() > deadline:
            raise TimeoutError(f"the chain has not handled {len(placed)} orders after {DRAIN_SECONDS:.0f} s")
        await asyncio.sleep(POLL_SECONDS)


def _since(placed: list[Placed], at: dict[str, float]) -> dict[str, float]:
    """Of these orders, the times in seconds of the monotonic clock instead of the day's."""
    offset, expected = time.time() - time.monotonic(), {each.order_id for each in placed}
    return {order: seconds - offset for order, seconds in at.items() if order in expected}


def _milliseconds(begin: Mapping[str, float], end: Mapping[str, float]) -> list[float]:
    # Less than nothing when the broker had the event before the client had its answer.
    return [max(0.0, end[order] - at) * 1000 for order, at in begin.items() if order in end]
