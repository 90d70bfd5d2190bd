"""The calls to the broker: processor time of the lean client over the stock client's."""

from __future__ import annotations

import typer

from benchmarks.client_cost import BATCH, MESSAGE, measured
from benchmarks.ratios import compare
from benchmarks.suite.bench import Bench
from benchmarks.suite.results import NumberFound, RatioFound, Section


async def measure(bench: Bench) -> Section:
    """Each call of a batch of ten, against a process that answers at once."""
    pairs, calls = bench.sizes.rounds, bench.sizes.calls
    costs = await measured(pairs, calls, lambda line: typer.echo(f"client: {line}"))
    section = Section("Client of the broker")
    section.conditions += [
        f"{pairs} pairs of {calls} calls, one after the other; {BATCH} messages of {len(MESSAGE)} bytes in a call. A "
        "process of its own answers every request at once with the same bytes.",
    ]
    for name, cost in costs.items():
        goal = "lean-cpu" if name == "PublishBatch" else ""
        ratio = RatioFound(
            f"{name}, lean client CPU / stock client CPU", compare(cost.ratios), compare(cost.noise), goal
        )
        section.ratios.append(ratio)
        section.numbers += [
            NumberFound(f"{name}, stock client CPU", "ms/call", cost.stock_ms),
            NumberFound(f"{name}, lean client CPU", "ms/call", cost.lean_ms),
        ]
    return section
