"""Places at which a process can be made to die, so that tests can kill it on either side of a line."""

from __future__ import annotations

import os
import signal


def hit(name: str) -> None:
    """Kill this process at once, as a power cut would, if `FAILPOINT` names this place.

    Only with `ENVIRONMENT=local`: in production the variable does nothing.
    """
    if os.environ.get("FAILPOINT") == name and os.environ.get("ENVIRONMENT") == "local":
        os.kill(os.getpid(), signal.SIGKILL)
