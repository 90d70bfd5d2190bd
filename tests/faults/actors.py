"""Processes of the system under test, which are started again when they end, as an orchestrator does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.process_table import children
from tests.support.processes import ROOT, wait_until_alive
from tools.embedded.ports import LOOPBACK, free_port
from tools.embedded.process import ChildProcess, Command, base_environment

LAUNCH = "tests.faults.processes.launch"
RESTART_SECONDS = 0.2
WITHOUT_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Made once: by default, each client reads all certificates of the machine, which takes longer than a request."""


@dataclass
class Actor:
    """One process of the system: its module, its environment, and the process that runs at the moment."""

    name: str
    module: str
    environment: Mapping[str, str]
    folder: Path
    serves: bool = True
    """Whether it answers HTTP requests."""
    port: int = field(default_factory=free_port)
    starts: int = 0
    ends: list[tuple[float, int]] = field(default_factory=list)
    """When the process ended without having been asked to, and with which status."""
    process: ChildProcess | None = None
    is_wanted: bool = False

    async def start(
        self, extra: Mapping[str, str] | None = None, *, launcher: bool = False, sources: Path = ROOT
    ) -> None:
        """Start it, with other variables or sources for this start only, and wait until it answers."""
        self.starts += 1
        arguments = ["-m", LAUNCH, self.module] if launcher else ["-m", self.module]
        self.process = ChildProcess(
            Command(
                name=self.name,
                arguments=[sys.executable, *arguments],
                log=self.folder / f"{self.name}-{self.starts}.log",
                environment={
                    **base_environment(), "HTTP_PORT": str(self.port), "PYTHONPATH": str(sources / "shared"),
                    **self.environment, **(extra or {}),
                },
                folder=sources if self.serves else ROOT,
            )
        )  # fmt: skip
        # Only what was started is started again: a process may die before it answers, and `ended` waits for this one.
        self.is_wanted = False
        self.process.start()
        if self.serves:
            with contextlib.suppress(Exception):  # one that dies at once is started again
                async with self.api() as api:
                    await wait_until_alive(self.process, api)
        self.is_wanted = True

    def api(self) -> httpx.AsyncClient:
        """A client of the process."""
        return httpx.AsyncClient(base_url=self.url, timeout=5.0, verify=WITHOUT_TLS)

    @property
    def url(self) -> str:
        """The address that it serves."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id, not that of its reaper."""
        if self.process is None or self.process.status is not None:
            return None
        found = children(self.process.reaper_pid)
        return found[0] if found else None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if pid := self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def restart(
        self, extra: Mapping[str, str] | None = None, *, launcher: bool = False, sources: Path = ROOT
    ) -> None:
        """Stop it as a deployment does, and start it again."""
        await self.stop()
        await self.start(extra, launcher=launcher, sources=sources)

    async def stop(self) -> None:
        """Stop it; harmless when it does not run."""
        self.is_wanted = False
        if self.process is not None:
            await self.process.stop()

    async def ended(self, timeout: float = 30.0) -> None:
        """Wait until the process that runs now has ended."""
        if self.process is not None:
            await self.process.wait(timeout)

    def lines(self, since: float) -> Iterator[dict[str, Any]]:
        """The log lines of level warning or above since a moment."""
        for path in sorted(self.folder.glob(f"{self.name}-*.log")):
            if path.stat().st_mtime < since:
                continue
            for text in path.read_text(errors="replace").splitlines():
                if '"warning"' not in text and '"error"' not in text and '"critical"' not in text:
                    continue
                with contextlib.suppress(ValueError):
                    line = json.loads(text)
                    if _moment(line) >= since:
                        yield line


def _moment(line: Mapping[str, Any]) -> float:
    from datetime import datetime

    found = line.get("timestamp") or line.get("time")
    return datetime.fromisoformat(str(found)).timestamp() if found else time.time()


class Orchestrator:
    """Starts again what ended."""

    def __init__(self, actors: list[Actor]) -> None:
        self.actors = actors
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start all processes and watch them."""
        await asyncio.gather(*(actor.start() for actor in self.actors))
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching, and all processes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for actor in self.actors:
            actor.signal(signal.SIGCONT)
        await asyncio.gather(*(actor.stop() for actor in self.actors))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(RESTART_SECONDS)
            for actor in self.actors:
                if actor.is_wanted and actor.process is not None and (status := actor.process.status) is not None:
                    actor.ends.append((time.time(), status))
                    await actor.process.stop()  # ends the reaper
                    await actor.start()
