"""The whole chain under an open load: order service, two relays, notification service, stub broker, Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.stub_broker.process import StubBrokerProcess, stub_broker
from benchmarks.suite import databases
from benchmarks.suite.bench import Bench, deleted, problems, reported
from benchmarks.suite.load import Customer, Placed, customer
from benchmarks.suite.processes import Measured, service
from benchmarks.suite.relay import relay_environment
from benchmarks.suite.results import Goal, LatencyFound, NumberFound, Section

ORDERS, NOTIFICATIONS = "order-events", "notification-events"
QUEUE, BACK = f"notification-{ORDERS}.fifo", f"order-{NOTIFICATIONS}.fifo"
CHECK = f"{ORDERS}-publish-check.fifo"
DRAIN_SECONDS = 60.0
WARM_UP_ORDERS = 20
CONNECTIONS = 100
GOALS = {40.0: (Goal(100), Goal(400))}
"""Milliseconds from the intended time to handled, at so many orders a second: median and p99."""


@dataclass(frozen=True)
class Chain:
    """The running processes, by name."""

    stub: StubBrokerProcess
    processes: dict[str, Measured]
    orders: Customer


async def measure(bench: Bench) -> Section:
    """Latencies at each rate, and processor time per order."""
    sizes = bench.sizes
    section = Section("Whole chain")
    section.conditions += [
        f"Open loop: orders of two lines at random intended times (Poisson), {sizes.step_seconds:g} s a rate, after "
        f"{WARM_UP_ORDERS} orders that are not measured; stub broker at {sizes.latency_ms:g} ms.",
        "Latencies count from the intended time. `taken` ends with the answer to POST, `published` with the arrival of "
        "PublishBatch at the broker, `confirmed` with the deletion from the publish check, `handled` with the deletion "
        "of the message, which follows the commit of the handler.",
    ]
    for rate in sizes.rates:
        async with _running(bench) as chain:
            await _step(bench, chain, rate, section)
    return section


async def _step(bench: Bench, chain: Chain, rate: float, section: Section) -> None:
    for _ in range(WARM_UP_ORDERS):
        await chain.orders.place()
    await _drained(chain, WARM_UP_ORDERS)
    cpu = {name: process.cpu_seconds() for name, process in chain.processes.items()}
    placed = await chain.orders.open_loop(rate, bench.sizes.step_seconds)
    report = await _drained(chain, WARM_UP_ORDERS + len(placed))
    section.problems += problems(report, f"{ORDERS}.fifo", who=f"{rate:g} orders/s")
    times = await chain.stub.times()
    last = max((each.answered_at for each in placed), default=0.0)
    unhandled = sum(at > last for name, _, _, at in times["deleted"] if name == QUEUE)
    section.numbers.append(
        NumberFound(f"backlog at the end, {rate:g} orders/s", "of all", [unhandled / max(1, len(placed))])
    )
    for name, process in chain.processes.items():
        spent = (process.cpu_seconds() - cpu[name]) / max(1, len(placed)) * 1000
        section.numbers.append(NumberFound(f"{name} CPU, {rate:g} orders/s", "ms/order", [spent]))
    section.latencies += _latencies(placed, times, rate)


def _latencies(placed: list[Placed], times: dict[str, Any], rate: float) -> list[LatencyFound]:
    intended = {each.order_id: each.intended_at for each in placed}
    ends = {
        "taken": {each.order_id: each.answered_at for each in placed},
        "published": {row[1]: row[3] for row in times["published"] if row[0] == f"{ORDERS}.fifo"},
        "confirmed": {row[1]: row[3] for row in times["deleted"] if row[0] == CHECK},
        "handled": {row[1]: row[3] for row in times["deleted"] if row[0] == QUEUE},
    }
    goal, goal_p99 = GOALS.get(rate, (None, None))
    found = [
        LatencyFound(f"{name}, {rate:g} orders/s", _milliseconds(intended, end), plot=f"chain-{rate:g}")
        for name, end in ends.items()
    ]
    found[-1] = replace(found[-1], goal=goal, goal_p99=goal_p99)
    steps = (("taken", "published"), ("taken", "handled"), ("published", "confirmed"))
    return found + [
        LatencyFound(f"from {one} to {other}, {rate:g} orders/s", _milliseconds(ends[one], ends[other]))
        for one, other in steps
    ]


def _milliseconds(begin: Mapping[str, float], end: Mapping[str, float]) -> list[float]:
    # Less than nothing when the broker had the event before the client had its answer.
    return [max(0.0, end[order] - at) * 1000 for order, at in begin.items() if order in end]


async def _drained(chain: Chain, count: int) -> dict[str, Any]:
    """The report when so many orders were handled and confirmed."""
    handled, confirmed = deleted(QUEUE, count), deleted(CHECK, count)
    return await reported(
        chain.stub,
        lambda report: handled(report) and confirmed(report),
        seconds=DRAIN_SECONDS,
        what=f"the chain with {count} orders",
    )


@asynccontextmanager
async def _running(bench: Bench) -> AsyncIterator[Chain]:
    async with AsyncExitStack() as stack:
        stub = await stack.enter_async_context(
            stub_broker(
                bench.folder,
                subscriptions=[
                    f"{ORDERS}.fifo={QUEUE}",
                    f"{ORDERS}.fifo={CHECK}",
                    f"{NOTIFICATIONS}.fifo={BACK}",
                    f"{NOTIFICATIONS}.fifo={NOTIFICATIONS}-publish-check.fifo",
                ],
                queues=[f"{queue[:-5]}-{kind}.fifo" for queue in (QUEUE, BACK) for kind in ("dlq", "undelivered")],
                latency_ms=bench.sizes.latency_ms,
                times=True,
            )
        )
        urls = {
            name: await stack.enter_async_context(databases.copied(bench.admin_url, await bench.seed(name)))
            for name in ("order", "notification")
        }
        in_flight = 8
        environments = {
            "order": ("services.order.main", _consuming(urls["order"], "order_api", stub.url)),
            "order-relay": (
                "services.relay.main",
                relay_environment(urls["order"], stub.url, in_flight=in_flight),
            ),
            "notification": (
                "services.notification.main",
                _consuming(urls["notification"], "notification_api", stub.url),
            ),
            "notification-relay": (
                "services.relay.main",
                relay_environment(urls["notification"], stub.url, in_flight=in_flight, role="notification_relay")
                | {"TOPIC": NOTIFICATIONS},
            ),
        }
        processes = {
            name: await stack.enter_async_context(service(module, given, bench.folder, name=name))
            for name, (module, given) in environments.items()
        }
        orders = await stack.enter_async_context(customer(processes["order"].url, connections=CONNECTIONS))
        yield Chain(stub, processes, orders)


def _consuming(url: str, role: str, endpoint: str) -> dict[str, str]:
    return {
        "DATABASE_URL": databases.as_role(url, role),
        "AWS_ENDPOINT_URL": endpoint,
        "QUEUE_WAIT_SECONDS": "5",
        "LOG_FORMAT": "json",
    }
