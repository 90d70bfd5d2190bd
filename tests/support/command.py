"""Runs `event-trio` as a process."""

import asyncio
import json
import os
from dataclasses import dataclass
from typing import Any

from tests.support.sources import ROOT

SECONDS = 60.0


@dataclass(frozen=True)
class CommandResult:
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output, as JSON."""
        return json.loads(self.out)


async def event_trio(*arguments: str, answer: str | None = None, **environment: str) -> CommandResult:
    """Run the command to its end; `answer` is the standard input, None for none."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVENT_TRIO_")}
    process = await asyncio.create_subprocess_exec(
        ROOT / "event-trio",
        *arguments,
        cwd="/",
        # A wide terminal, so that tables wrap no lines, and a long timeout for a busy machine.
        env={**inherited, "COLUMNS": "240", "EVENT_TRIO_TIMEOUT_SECONDS": "20", **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate(f"{answer}\n".encode() if answer is not None else b"")
    return CommandResult(process.returncode or 0, out.decode(), err.decode())
