"""Finds free ports on the loopback, and checks that a port is free."""

from __future__ import annotations

import errno
import random
import socket
from itertools import islice

from tools.embedded.errors import PortInUse

LOOPBACK = "127.0.0.1"


# Below the ephemeral ports (from 32768 on Linux, from 49152 on macOS), because an outgoing connection could take the
# port before the server listens on it.
CHOICE = range(15000, 32000)


def free_port() -> int:
    """A port on which nobody listens at the moment."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Distinct ports on which nobody listens at the moment. Raises PortInUse when too few are free."""
    # At random, so that processes that search at the same time find different ports.
    free = (port for port in random.sample(CHOICE, 20 * count) if not _answers(port) and not _bound(port))
    found = list(islice(free, count))
    if len(found) < count:
        raise PortInUse(f"Fewer than {count} free ports were found from {CHOICE.start} to {CHOICE.stop - 1}.")
    return found


def ensure_free(port: int, purpose: str, variable: str) -> None:
    """Raises PortInUse, naming the purpose and the variable that changes the port, when it is in use."""
    if not (_answers(port) or _bound(port)):
        return
    raise PortInUse(
        f"Port {port} ({purpose}) is in use, perhaps by another `make demo`, by `docker compose up` or another server "
        f"(`lsof -nP -iTCP:{port} -sTCP:LISTEN` shows it): stop it, or choose another port with {variable}=..."
    )


def _answers(port: int) -> bool:
    # macOS lets a program bind 127.0.0.1 while another one listens on all addresses.
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _bound(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise PortInUse(f"Port {port} cannot be used: {error.strerror}. Choose another one.") from error
        return False
