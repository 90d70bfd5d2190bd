"""Starts the stub broker as a child process, and reads its pages."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tools.embedded.ports import LOOPBACK, free_port
from tools.embedded.process import ChildProcess, Command, base_environment

ROOT = Path(__file__).parents[2]
READY_SECONDS = 30.0
ANSWER_SECONDS = 30.0


class StubBrokerProcess:
    """A running stub broker."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def report(self) -> dict[str, Any]:
        """Its counts."""
        found: dict[str, Any] = json.loads(await self._call("/_stub/report"))
        return found

    async def times(self) -> dict[str, Any]:
        """When each message was published and deleted."""
        found: dict[str, Any] = json.loads(await self._call("/_stub/times"))
        return found

    async def reset(self) -> None:
        """Empty it and set its counters to 0."""
        await self._call("/_stub/reset", b"")

    async def fill(self, queue: str, messages: Iterable[dict[str, Any]]) -> None:
        """Put messages (`group`, `id`, `body`, `attributes`) into a queue in one call."""
        await self._call(f"/_stub/fill?queue={queue}", b"\n".join(json.dumps(each).encode() for each in messages))

    async def _call(self, path: str, body: bytes | None = None) -> bytes:
        return await asyncio.to_thread(_fetch, self.url + path, body)


@asynccontextmanager
async def stub_broker(
    folder: Path,
    *,
    subscriptions: Sequence[str] = (),
    queues: Sequence[str] = (),
    latency_ms: float = 10.0,
    times: bool = False,
) -> AsyncIterator[StubBrokerProcess]:
    """Start one on a free port; its log is in `folder`. Raises EmbeddedServerFailed."""
    port = free_port()
    given = [f"--subscribe={each}" for each in subscriptions] + [f"--queue={each}" for each in queues]
    options = [*given, f"--latency-ms={latency_ms:g}", f"--port={port}", *(["--keep-times"] if times else [])]
    process = ChildProcess(
        Command(
            name="stub broker",
            arguments=[sys.executable, "-m", "benchmarks.stub_broker", *options],
            log=folder / "stub-broker.log",
            environment=base_environment(),
            folder=ROOT,
        )
    )
    process.start()
    try:
        stub = StubBrokerProcess(f"http://{LOOPBACK}:{port}")
        await _ready(stub, process)
        yield stub
    finally:
        await process.stop()


async def _ready(stub: StubBrokerProcess, process: ChildProcess) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                if process.status is not None:
                    raise process.failure("ended before it answered")
                try:
                    await stub.report()
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    return
    except TimeoutError:
        raise process.failure(f"does not answer after {READY_SECONDS:.0f} s") from None


def _fetch(url: str, body: bytes | None) -> bytes:
    # Past any proxy of the environment: the stub is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, data=body, timeout=ANSWER_SECONDS) as answer:
        content: bytes = answer.read()
    return content
