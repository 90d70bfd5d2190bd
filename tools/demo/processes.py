"""The processes of the project, each with its own environment and log."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from tools.demo.errors import DemoFailed
from tools.demo.ports import Port
from tools.embedded.process import ChildProcess, Command, base_environment

ROOT = Path(__file__).parents[2]
READY_SECONDS = 120.0
"""The first start compiles a thousand modules, on a machine that may be busy."""
POLL_SECONDS = 0.3
"""Pause between two readiness requests, which cost the service processor time that it needs for starting."""
TASK_SECONDS = 120.0
DRAIN_SECONDS = 5
GRACE_SECONDS = DRAIN_SECONDS + 5.0


class Program:
    """A module of the project, run as `python -m`."""

    def __init__(self, name: str, module: str, logs: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self._child = ChildProcess(
            Command(
                name=name,
                arguments=[sys.executable, "-m", *module.split()],
                log=self.log,
                environment={**base_environment(), "PYTHONUNBUFFERED": "1", **environment},
                folder=ROOT,
                grace_seconds=GRACE_SECONDS,
            )
        )

    async def start(self) -> None:
        """Start the process."""
        self._child.start()

    async def stop(self) -> None:
        """Stop the process; harmless when it is not running."""
        await self._child.stop()

    async def finish(self) -> None:
        """Run a task to its end. Raises DemoFailed, with the end of the log, when it fails."""
        self._child.start()
        try:
            status = await self._child.wait(TASK_SECONDS)
        except TimeoutError as error:
            raise self.failure(f"has not finished after {TASK_SECONDS:.0f} s") from error
        finally:
            await self._child.stop()
        if status != 0:
            raise self.failure(f"failed with status {status}")

    @property
    def has_ended(self) -> bool:
        """Whether the process was started and ended without being stopped."""
        return self._child.status is not None

    def ensure_running(self) -> None:
        """Raises DemoFailed, with the end of the log, when the process has ended."""
        status = self._child.status
        if status is not None:
            raise self.failure(f"ended with status {status}")

    def failure(self, what: str) -> DemoFailed:
        """An error that quotes the end of the log."""
        return DemoFailed(f"{self.name} {what}.\nThe end of {self.log}:\n{self._child.last_lines()}")


class ServiceProgram(Program):
    """A program that serves HTTP and has a readiness page."""

    def __init__(self, name: str, module: str, logs: Path, environment: Mapping[str, str], port: Port) -> None:
        common = {"HTTP_PORT": str(port.number), "DRAIN_SECONDS": str(DRAIN_SECONDS), "LOG_FORMAT": "json"}
        super().__init__(name, module, logs, {**common, **environment})
        self.url = port.url

    async def ready(self) -> None:
        """Wait until the service is ready.

        Raises DemoFailed, naming the failed checks, when it ended or is not ready in time.
        """
        deadline = time.monotonic() + READY_SECONDS
        problem = "it does not answer"
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=5.0) as client:
            while time.monotonic() < deadline:
                self.ensure_running()
                try:
                    answer = await client.get("/readyz")
                except httpx.TransportError:
                    pass
                else:
                    problem = _failed_checks(answer)
                    # "Degraded" does not suffice: an order service accepts orders while the broker is still starting.
                    if answer.is_success and not problem:
                        return
                await asyncio.sleep(POLL_SECONDS)
        raise self.failure(f"is not ready after {READY_SECONDS:.0f} s ({problem})")


def _failed_checks(answer: httpx.Response) -> str:
    checks: dict[str, dict[str, object]] = answer.json().get("checks", {})
    return "; ".join(f"{name}: {check.get('detail')}" for name, check in checks.items() if not check["ok"])
