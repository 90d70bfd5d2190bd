"""A coordinator as a process of its own, which really is killed (SIGKILL) at a step, with its connections.

`python -m comparisons.atomicity.coordinator_process`, with its task as JSON in the standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from comparisons.atomicity.faults import CoordinatorKilled, Faults
from comparisons.atomicity.try_confirm_cancel import TryConfirmCancel
from comparisons.atomicity.two_phase_commit import TwoPhaseCommit
from comparisons.atomicity.ways import Way
from comparisons.atomicity.world import Purchase, world

ROOT = Path(__file__).parents[2]
WAYS: dict[str, type[Way]] = {way.name: way for way in (TwoPhaseCommit, TryConfirmCancel)}
SECONDS = 30.0


class OwnEnd(Faults):
    """Kills this process at a step."""

    def step(self, name: str) -> None:
        """The step has been done: the process ends at it, or goes on."""
        try:
            super().step(name)
        except CoordinatorKilled:
            os.kill(os.getpid(), signal.SIGKILL)


class CoordinatorProcess(Way):
    """A way of which each call is a process. A subclass names the way."""

    way: ClassVar[type[Way]]

    async def install(self) -> None:
        await self.way(self.world).install()

    async def place(self, purchase: Purchase, faults: Faults) -> bool | None:
        answer: bool | None = await self._run(faults, purchase)
        return answer

    async def recover(self, faults: Faults) -> bool:
        return bool(await self._run(faults, None))

    async def _run(self, faults: Faults, purchase: Purchase | None) -> Any:
        """Raises CoordinatorKilled when the process was killed, and RuntimeError when it failed."""
        task = {
            "way": self.way.name,
            "urls": dict(self.world.urls),
            "purchase": asdict(purchase) if purchase is not None else None,
            "kills": sorted(faults.kills),
            "steps": faults.steps,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(SECONDS):
                output, _ = await process.communicate(json.dumps(task).encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode == -signal.SIGKILL:
            killed_at = min(step for step in faults.kills if step >= len(faults.steps))
            faults.steps += ["in a process that is gone"] * (killed_at + 1 - len(faults.steps))
            raise CoordinatorKilled(f"step {killed_at}")
        if process.returncode != 0:
            raise RuntimeError(f"the coordinator ended with status {process.returncode}")
        faults.steps[:], answer = json.loads(output)
        return answer


async def _serve(task: dict[str, Any]) -> None:
    faults = OwnEnd(kills=frozenset(task["kills"]), steps=task["steps"])
    async with world(task["urls"]) as found:
        way, purchase = WAYS[task["way"]](found), task["purchase"]
        answer = await (way.recover(faults) if purchase is None else way.place(Purchase(**purchase), faults))
    json.dump([faults.steps, answer], sys.stdout)


if __name__ == "__main__":
    asyncio.run(_serve(json.load(sys.stdin)))
