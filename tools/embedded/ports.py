"""Ports on the loopback: find a free one, or say in a sentence that a wanted one is taken."""

import errno
import random
import socket
from itertools import islice

from tools.embedded.errors import PortInUse

LOOPBACK = "127.0.0.1"


# Below those that systems give to outgoing connections (from 32768 on Linux, from 49152 on macOS), one of which could
# take the port before the server that it was found for listens.
CHOICE = range(15000, 32000)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many ports, each different, that nobody listens on at this moment."""
    # Chance keeps processes apart that look at the same time; it guards no secret.
    free = (port for port in random.sample(CHOICE, 20 * count) if not _answers(port) and not _bound(port))
    found = list(islice(free, count))
    if len(found) < count:
        raise PortInUse(f"No {count} free ports were found from {CHOICE.start} to {CHOICE.stop - 1}.")
    return found


def ensure_free(port: int, purpose: str, variable: str) -> None:
    """Check that `port` can be listened on.

    Raises:
        PortInUse: with the port, who may hold it and the variable that changes it.
    """
    if not (_answers(port) or _bound(port)):
        return
    raise PortInUse(
        f"Port {port} ({purpose}) is in use, perhaps by another `make demo`, by `docker compose up` or by a server of "
        f"your own (`lsof -nP -iTCP:{port} -sTCP:LISTEN` names it): stop it, or choose another port with {variable}=..."
    )


def _answers(port: int) -> bool:
    # macOS lets a second program bind 127.0.0.1 while the first listens on all addresses.
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
