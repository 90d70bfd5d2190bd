"""The suite's command: `python -m benchmarks.suite`, or `make bench`."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from benchmarks.suite import chain, consumer, localstack, orders, page, relay, relay_latency, start
from benchmarks.suite.bench import Bench
from benchmarks.suite.databases import SERVER
from benchmarks.suite.results import Section
from benchmarks.suite.sizes import FULL, QUICK, TINY, Sizes
from tools.embedded.errors import EmbeddedServerFailed
from tools.embedded.postgres import EmbeddedPostgres

OUTPUT = Path(__file__).parents[2] / "docs" / "benchmarks"
PARTS: dict[str, Callable[[Bench], Awaitable[Section]]] = {
    "relay": relay.measure,
    "relay-latency": relay_latency.measure,
    "consumer": consumer.measure,
    "orders": orders.measure,
    "chain": chain.measure,
    "start": start.measure,
    "localstack": localstack.measure,
    "rivals": relay.measure_rivals,
}
SIZES = {"quick": QUICK, "full": FULL, "tiny": TINY}
LIBRARIES = ("asyncpg", "aioboto3", "aiobotocore", "fastapi", "pydantic", "sqlalchemy", "uvicorn")


def main(
    parts: Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(PARTS)}. All by default.")] = None,
    size: Annotated[
        str, typer.Option(help="quick (minutes), full (an hour or two), or tiny (to see that it runs).")
    ] = "quick",
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of each part, instead of the size's.")] = None,
    events: Annotated[int | None, typer.Option(min=20, help="Events of a run, instead of the size's.")] = None,
    latency_ms: Annotated[float | None, typer.Option(min=0, help="The stub broker's latency.")] = None,
    output: Annotated[Path, typer.Option(help="The folder for the page and the plots.")] = OUTPUT,
    keep_logs: Annotated[bool, typer.Option("--keep-logs", help="Keep the processes' logs.")] = False,
) -> None:
    """Measure speed as ratios in one run and write a page with plots.

    Postgres, the stub broker and the processes under measurement are started on this machine. Candidates take turns, so
    that drift of the machine cancels out; the null is the same comparison for two runs of one candidate. Run it on a
    machine that does nothing else.
    """
    chosen = list(dict.fromkeys(parts or PARTS))
    for name in chosen:
        if name not in PARTS:
            raise typer.BadParameter(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    if size not in SIZES:
        raise typer.BadParameter(f"there is no size {size!r}; there are {', '.join(SIZES)}")
    sizes = _sizes(SIZES[size], rounds, events, latency_ms)
    folder = Path(tempfile.mkdtemp(prefix="event-trio-benchmark-"))
    try:
        sections, conditions = asyncio.run(_measure(chosen, sizes, folder))
        options = {"--size": size, "--rounds": rounds, "--events": events, "--latency-ms": latency_ms}
        given = [*(parts or ()), *(f"{name} {value}" for name, value in options.items() if value is not None)]
        for path in page.write(output, sections, conditions, f"python -m benchmarks.suite {' '.join(given)}"):
            typer.echo(f"written: {path}")
    except (EmbeddedServerFailed, TimeoutError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    finally:
        if keep_logs:
            typer.echo(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _sizes(sizes: Sizes, rounds: int | None, events: int | None, latency_ms: float | None) -> Sizes:
    if rounds is not None:
        sizes = replace(sizes, rounds=rounds)
    if events is not None:
        sizes = replace(sizes, events=events, groups=min(sizes.groups, events))
    if latency_ms is not None:
        sizes = replace(sizes, latency_ms=latency_ms)
    return sizes


async def _measure(chosen: Sequence[str], sizes: Sizes, folder: Path) -> tuple[list[Section], list[str]]:
    began, load = time.monotonic(), os.getloadavg()[0]
    if load > (os.cpu_count() or 1) / 2:
        typer.echo(f"the machine is busy (load {load:.1f}): its numbers are worth little")
    sections = []
    async with EmbeddedPostgres(settings=SERVER) as postgres:
        conditions = await _conditions(postgres.admin_url, load)
        for line in conditions:
            typer.echo(line)
        bench = Bench(postgres.admin_url, folder, sizes)
        for number, name in enumerate(chosen, 1):
            typer.echo(f"part {number}/{len(chosen)}: {name}")
            section = await PARTS[name](bench)
            sections.append(section)
            for line in page.summary(section):
                typer.echo(line)
    conditions.append(f"It took {(time.monotonic() - began) / 60:.1f} minutes.")
    return sections, conditions


async def _conditions(admin_url: str, load: float) -> list[str]:
    connection = await asyncpg.connect(admin_url)
    try:
        server = await connection.fetchval("SHOW server_version")
        settings = [f"{name}={await connection.fetchval(f'SHOW {name}')}" for name in (*SERVER, "synchronous_commit")]
    finally:
        await connection.close()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {sys.platform} {platform.machine()}, {os.cpu_count()} cores, "
        f"load {load:.1f} at the start.",
        f"Python {platform.python_version()}, {libraries}.",
        f"Postgres {server} with {', '.join(settings)}, on the loopback, without TLS.",
    ]


if __name__ == "__main__":
    typer.run(main)
