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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from benchmarks.suite import (
    chain,
    client,
    consumer,
    growth,
    localstack,
    orders,
    page,
    relay,
    relay_latency,
    rivals,
    scaling,
    start,
)
from benchmarks.suite.bench import Bench
from benchmarks.suite.databases import SERVER
from benchmarks.suite.reference import current
from benchmarks.suite.results import Section
from benchmarks.suite.sizes import FULL, QUICK, TINY, Sizes
from benchmarks.suite.stored import Conditions, StoredPart, UnreadablePart, read, store
from tools.embedded.errors import EmbeddedServerFailed
from tools.embedded.postgres import EmbeddedPostgres

OUTPUT = Path(__file__).parents[2] / "docs" / "benchmarks"


@dataclass(frozen=True)
class Part:
    """A part of the suite. `minutes` is what it takes about; one that takes many runs only when it is named."""

    measure: Callable[[Bench], Awaitable[Section]]
    minutes: float
    named_only: bool = False


PARTS: dict[str, Part] = {
    "relay": Part(relay.measure, 1.9),
    "relay-latency": Part(relay_latency.measure, 1.2),
    "consumer": Part(consumer.measure, 2),
    "orders": Part(orders.measure, 1.7),
    "chain": Part(chain.measure, 2.8),
    "start": Part(start.measure, 1.2),
    "client": Part(client.measure, 0.4),
    "localstack": Part(localstack.measure, 2),
    "rivals": Part(rivals.measure, 2.2),
    "scaling": Part(scaling.measure, 1.6),
    "growth": Part(growth.measure, 9, named_only=True),
}
SIZES = {"quick": QUICK, "full": FULL, "tiny": TINY}
LIBRARIES = ("asyncpg", "aioboto3", "aiobotocore", "fastapi", "pydantic", "sqlalchemy", "uvicorn")


def main(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Some of: {', '.join(PARTS)}. By default all but "
            f"{', '.join(name for name, part in PARTS.items() if part.named_only) or 'none'}."
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="quick (minutes), full (hours), or tiny (to see that it runs).")] = "quick",
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of each part, instead of the size's.")] = None,
    events: Annotated[int | None, typer.Option(min=20, help="Events of a run, instead of the size's.")] = None,
    latency_ms: Annotated[float | None, typer.Option(min=0, help="The stub broker's latency.")] = None,
    output: Annotated[Path, typer.Option(help="The folder for the page, the plots and the results.")] = OUTPUT,
    keep_logs: Annotated[bool, typer.Option("--keep-logs", help="Keep the processes' logs.")] = False,
    page_only: Annotated[bool, typer.Option("--page-only", help="Measure nothing; write the page again.")] = False,
) -> None:
    """Measure speed as ratios in one run and write a page with plots.

    Postgres, the stub broker and the processes under measurement are started on this machine. Candidates take turns, so
    that drift of the machine cancels out; the null is the same comparison for two runs of one candidate. Run it on a
    machine that does nothing else. Parts that are not measured keep their earlier results on the page.
    """
    chosen = list(dict.fromkeys(parts or (name for name, part in PARTS.items() if not part.named_only)))
    for name in chosen:
        if name not in PARTS:
            raise typer.BadParameter(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    if size not in SIZES:
        raise typer.BadParameter(f"there is no size {size!r}; there are {', '.join(SIZES)}")
    options = {"--size": size, "--rounds": rounds, "--events": events, "--latency-ms": latency_ms}
    arguments = " ".join(f"{name} {value}" for name, value in options.items() if value not in (None, "quick"))
    command = (
        "make bench" + (f' PARTS="{" ".join(parts)}"' if parts else "") + (f' ARGS="{arguments}"' if arguments else "")
    )
    try:
        output.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=output).close()
    except OSError as error:
        raise typer.BadParameter(f"--output: nothing can be written to {output}: {error.strerror}") from None
    folder = Path(tempfile.mkdtemp(prefix="event-trio-benchmark-"))
    failed: list[str] = []
    try:
        if not page_only:
            sizes = _sizes(SIZES[size], rounds, events, latency_ms)
            failed = asyncio.run(_measure(chosen, sizes, folder, output, command))
        for path in page.write(output, read(output, list(PARTS))):
            typer.echo(f"written: {path}")
    except (EmbeddedServerFailed, UnreadablePart) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    finally:
        if keep_logs:
            typer.echo(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if failed:
        typer.echo(f"error: not measured: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def _sizes(sizes: Sizes, rounds: int | None, events: int | None, latency_ms: float | None) -> Sizes:
    if rounds is not None:
        sizes = replace(sizes, rounds=rounds)
    if events is not None:
        sizes = replace(sizes, events=events, messages=events, groups=min(sizes.groups, events))
    if latency_ms is not None:
        sizes = replace(sizes, latency_ms=latency_ms)
    return sizes


async def _measure(chosen: Sequence[str], sizes: Sizes, folder: Path, output: Path, command: str) -> list[str]:
    """Measure the parts and store each as soon as it is done; the names of those that failed."""
    load, failed = os.getloadavg()[0], list[str]()
    if load > (os.cpu_count() or 1) / 2:
        typer.echo(f"the machine is busy (load {load:.1f}): its numbers are worth little")
    if sizes == QUICK:
        minutes = max(1.0, sum(PARTS[name].minutes for name in chosen))
        typer.echo(f"{', '.join(chosen)}: about {minutes:.0f} min on an idle machine")
    async with EmbeddedPostgres(settings=SERVER) as postgres:
        lines = await _conditions(postgres.admin_url, load)
        for line in lines:
            typer.echo(line)
        conditions = Conditions(command, current(), tuple(lines))
        bench = Bench(postgres.admin_url, folder, sizes)
        for number, name in enumerate(chosen, 1):
            typer.echo(f"part {number}/{len(chosen)}: {name}")
            began = time.monotonic()
            try:
                section = await PARTS[name].measure(bench)
            except (EmbeddedServerFailed, TimeoutError) as error:
                # The other parts do not depend on this one, and what was measured is kept.
                typer.echo(f"error: {name}: {error}", err=True)
                failed.append(name)
                continue
            section.conditions.append(f"It took {time.monotonic() - began:.0f} s.")
            store(output, StoredPart(name, conditions, section))
            for line in page.summary(section):
                typer.echo(line)
    return failed


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
