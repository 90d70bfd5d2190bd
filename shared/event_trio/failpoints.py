"""Points at which tests can crash a process, for example before and after a commit."""

from __future__ import annotations

import os
import signal
from functools import cache


@cache
def _armed() -> str | None:
    return os.environ.get("FAILPOINT") if os.environ.get("ENVIRONMENT") == "local" else None


def hit(name: str) -> None:
    """Kill this process with SIGKILL if `FAILPOINT` is this name. It has no effect unless `ENVIRONMENT` is `local`."""
    if name == _armed():
        os.kill(os.getpid(), signal.SIGKILL)
