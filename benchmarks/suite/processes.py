"""Processes under measurement: started with an environment, ready, and read for their processor time."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tools.embedded.ports import LOOPBACK, free_port
from tools.embedded.process import ChildProcess, Command, base_environment

ROOT = Path(__file__).parents[2]
PROC = Path("/proc")
READY_SECONDS = 60.0
PAUSE_SECONDS = 0.1
# The stub takes any credentials; local files must not matter.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Measured:
    """A running process; `url` is where it serves, if it does."""

    process: ChildProcess
    url: str

    def cpu_seconds(self) -> float:
        """Processor time of the process itself; 0 where the system does not tell (no /proc)."""
        return sum(_cpu_seconds(pid) for pid in self._pids())

    def resident_bytes(self) -> int:
        """Resident memory of the process itself; 0 where the system does not tell."""
        pages = sum(int((_stat(PROC / str(pid) / "stat") or ["0"] * 22)[21]) for pid in self._pids())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def ensure_running(self) -> None:
        """Raise EmbeddedServerFailed, with the end of the log, if it has ended."""
        if self.process.status is not None:
            raise self.process.failure("ended by itself")

    def _pids(self) -> list[int]:
        return _children(self.process.reaper_pid)


def command(
    name: str,
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    source: Path = ROOT,
    python: str = sys.executable,
) -> Command:
    """`python -m module` of the project's code in `source`, with nothing of the caller's environment."""
    # The library is installed as editable, that is from ROOT; another source's library comes before it.
    library = {} if source == ROOT else {"PYTHONPATH": str(source / "shared")}
    return Command(
        name=name,
        arguments=[python, "-m", module, *arguments],
        log=folder / f"{name}.log",
        environment={**base_environment(), **CREDENTIALS, **library, "PYTHONUNBUFFERED": "1", **environment},
        folder=source,
        grace_seconds=30.0,
    )


@asynccontextmanager
async def process(
    module: str,
    environment: Mapping[str, str],
    folder: Path,
    *,
    name: str = "",
    arguments: Sequence[str] = (),
    source: Path = ROOT,
    python: str = sys.executable,
) -> AsyncIterator[Measured]:
    """Start a process that serves no HTTP, and stop it at the end."""
    given = command(name or module, module, arguments, environment, folder, source=source, python=python)
    child = ChildProcess(given)
    child.start()
    try:
        yield Measured(child, "")
    finally:
        await child.stop()


@asynccontextmanager
async def service(
    module: str, environment: Mapping[str, str], folder: Path, *, name: str = "", source: Path = ROOT
) -> AsyncIterator[Measured]:
    """Start a service, wait until `/readyz` answers without a failed check, and stop it at the end."""
    port = free_port()
    settings = {"HTTP_PORT": str(port), **environment}
    child = ChildProcess(command(name or module, module, (), settings, folder, source=source))
    child.start()
    try:
        measured = Measured(child, f"http://{LOOPBACK}:{port}")
        await _ready(measured)
        yield measured
    finally:
        await child.stop()


async def run_tool(
    module: str, arguments: Sequence[str], folder: Path, *, most_seconds: float, python: str = sys.executable
) -> dict[str, Any]:
    """Run a process to its end; what it printed last, as JSON. Raises EmbeddedServerFailed."""
    child = ChildProcess(command(module, module, arguments, {}, folder, python=python))
    child.start()
    try:
        status = await child.wait(most_seconds)
    except TimeoutError:
        raise child.failure(f"is not done after {most_seconds:.0f} s") from None
    finally:
        await child.stop()
    if status != 0:
        raise child.failure(f"failed with status {status}")
    found: dict[str, Any] = json.loads(child.command.log.read_text().splitlines()[-1])
    return found


async def _ready(measured: Measured) -> None:
    deadline = time.monotonic() + READY_SECONDS
    lacks = "it does not answer"
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        while time.monotonic() < deadline:
            measured.ensure_running()
            try:
                answer = await client.get(f"{measured.url}/readyz")
            except httpx.TransportError:
                pass
            else:
                checks: dict[str, dict[str, object]] = answer.json().get("checks", {})
                lacks = "; ".join(f"{name}: {check.get('detail')}" for name, check in checks.items() if not check["ok"])
                if answer.is_success and not lacks:
                    return
            await asyncio.sleep(PAUSE_SECONDS)
    raise measured.process.failure(f"is not ready after {READY_SECONDS:.0f} s ({lacks})")


def tree_cpu_seconds(member: int) -> float:
    """Processor time of the parent of a process, of its children, and of those that ended; 0 without /proc."""
    stat = _stat(PROC / str(member) / "stat")
    if not stat:
        return 0.0
    parent = _stat(PROC / stat[1] / "stat")
    ticks = sum(map(int, parent[11:15])) if parent else 0
    return ticks / os.sysconf("SC_CLK_TCK") + sum(_cpu_seconds(pid) for pid in _children(int(stat[1])))


def _children(parent: int) -> list[int]:
    found = []
    for path in PROC.glob("[0-9]*/stat"):
        stat = _stat(path)
        if stat[1:2] == [str(parent)]:
            found.append(int(path.parent.name))
    return found


def _cpu_seconds(pid: int) -> float:
    stat = _stat(PROC / str(pid) / "stat")
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") if stat else 0.0


def _stat(path: Path) -> list[str]:
    """The fields behind the process's name, which may contain blanks and brackets."""
    try:
        return path.read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
