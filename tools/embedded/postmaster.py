"""The lock file in a Postgres data folder, which remains when the server is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from pathlib import Path

from tools.embedded.errors import EmbeddedServerFailed

STOP_SECONDS = 12.0
"""How long the reaper of a killed parent may take to stop the server."""


async def clear_stale_pid(data: Path) -> None:
    """Remove a lock file whose process is gone, or whose process id belongs to another program now.

    Raises EmbeddedServerFailed when a server keeps using the folder.
    """
    lock = data / "postmaster.pid"
    deadline = time.monotonic() + STOP_SECONDS
    while (pid := _pid_in(lock)) is not None:
        if not _serves(pid, data):
            lock.unlink(missing_ok=True)
            return
        if time.monotonic() > deadline:
            raise EmbeddedServerFailed(
                f"A Postgres (process {pid}) is already running on {data}: stop the other `make demo`, or this process "
                f"(kill -INT {pid})."
            )
        await asyncio.sleep(0.1)


def _pid_in(lock: Path) -> int | None:
    try:
        return int(lock.read_text().splitlines()[0])
    except FileNotFoundError:
        return None
    except (ValueError, IndexError):
        # The file was written only in part when the machine stopped.
        lock.unlink(missing_ok=True)
        return None


def _serves(pid: int, data: Path) -> bool:
    command = _command_of(pid) if pid > 0 else ""
    return "postgres" in command and str(data) in command


def _command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    if os.path.isdir("/proc/self"):
        return ""
    answer = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout
