"""Processor time of this process and of the sessions of databases: unlike time, it does not grow with other load."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROCESSES = Path("/proc")


def processor_seconds(databases: Iterable[str] = ()) -> float:
    """What this process and the Postgres processes of these databases have used so far."""
    names = [name.encode() for name in databases]
    return time.process_time() + sum(_ticks(each, names) for each in PROCESSES.glob("[0-9]*")) / TICKS


def _ticks(process: Path, databases: Iterable[bytes]) -> int:
    try:
        command = (process / "cmdline").read_bytes()
        if not command.startswith(b"postgres: ") or not any(name in command for name in databases):
            return 0
        # The name of the program, in parentheses, may contain spaces.
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])
