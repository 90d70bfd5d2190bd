"""Runs a module with a wrong clock or a resolver that fails: `python -m tests.faults.processes.launch MODULE`.

FAULT_CLOCK_SECONDS is added to what the module's clock shows. While the file in FAULT_NO_DNS exists, names cannot be
resolved; addresses can.
"""

import os
import runpy
import socket
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from event_trio.clock import SystemClock


def shift_clock(seconds: float) -> None:
    """Set the clock of the library wrong; how fast it goes is right."""
    now = SystemClock.now

    def shifted(clock: SystemClock) -> datetime:
        return now(clock) + timedelta(seconds=seconds)

    SystemClock.now = shifted  # type: ignore[method-assign, assignment]


def fail_to_resolve(flag: Path) -> None:
    """Resolve names only while the file does not exist."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        is_name = host and not str(host if isinstance(host, str) else host.decode()).replace(".", "").isdigit()
        if is_name and flag.exists():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve(host, *args, **options)

    socket.getaddrinfo = getaddrinfo


if __name__ == "__main__":
    shift_clock(float(os.environ.get("FAULT_CLOCK_SECONDS", "0")))
    if path := os.environ.get("FAULT_NO_DNS"):
        fail_to_resolve(Path(path))
    module = sys.argv[1]
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
