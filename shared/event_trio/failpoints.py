"""Points at which tests can crash a process, for example before and after a commit."""

from __future__ import annotations

import os
import signal


def hit(name: str) -> None:
    """Kill this process with SIGKILL if `FAILPOINT` is this name. It has no effect unless `ENVIRONMENT` is `local`."""
    if os.environ.get("FAILPOINT") == name and os.environ.get("ENVIRONMENT") == "local":
        os.kill(os.getpid(), signal.SIGKILL)
