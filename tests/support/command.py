"""Runs `event-trio` as a process."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support import forking
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
    if not forking.AVAILABLE:
        return await event_trio_in_shell(*arguments, answer=answer, **environment)
    async with asyncio.timeout(SECONDS):
        ended = await asyncio.to_thread(
            forking.run_command, "tools.cli", arguments, _environment(environment), "/", _input(answer)
        )
    return _result(*ended)


async def event_trio_in_shell(*arguments: str, answer: str | None = None, **environment: str) -> CommandResult:
    """The same as a user's shell starts it, for tests of its start."""
    process = await asyncio.create_subprocess_exec(
        ROOT / "event-trio",
        *arguments,
        cwd="/",
        env=_environment(environment),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate(_input(answer))
    return _result(process.returncode or 0, out, err)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    # A wide terminal, so that tables wrap no lines, and a long timeout for a busy machine.
    return {**forking.command_environment(), "COLUMNS": "240", "EVENT_TRIO_TIMEOUT_SECONDS": "20", **given}


def _input(answer: str | None) -> bytes:
    return b"" if answer is None else f"{answer}\n".encode()


def _result(status: int, out: bytes, err: bytes) -> CommandResult:
    return CommandResult(status, out.decode(), err.decode())
