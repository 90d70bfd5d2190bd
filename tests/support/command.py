"""Runs `event-trio` as a person or a script does: as a process."""

import asyncio
import json
import os
from dataclasses import dataclass
from typing import Any

from tests.support.sources import ROOT

SECONDS = 60.0


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output, as JSON."""
        return json.loads(self.out)


async def event_trio(*arguments: str, answer: str | None = None, **environment: str) -> Ran:
    """Run the command to its end; `answer` is what a person types, None that there is nobody."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVENT_TRIO_")}
    process = await asyncio.create_subprocess_exec(
        ROOT / "event-trio",
        *arguments,
        cwd="/",
        # Wide enough that no table breaks a line, whatever terminal the tests run in; and patient, for a busy machine.
        env={**inherited, "COLUMNS": "240", "EVENT_TRIO_TIMEOUT_SECONDS": "20", **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate(f"{answer}\n".encode() if answer is not None else b"")
    return Ran(process.returncode or 0, out.decode(), err.decode())
