"""A Redis server of the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from comparisons.brokers.servers.broker_server import BrokerServer, output, program
from tools.embedded.ports import LOOPBACK

ADVICE = "install the package redis-server"


class RedisServer(BrokerServer):
    """Redis with an append-only file; `fsync` is its `appendfsync`, whose default is once a second."""

    name = "Redis"

    def __init__(self, folder: Path | None = None, *, fsync: str = "everysec") -> None:
        super().__init__(folder)
        self._fsync = fsync

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}"

    def version(self) -> str:
        return output(program("redis-server", ADVICE), "--version").partition("v=")[2].partition(" ")[0]

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        options = {
            "port": str(self.port),
            "bind": LOOPBACK,
            "dir": str(self.data),
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._fsync,
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [program("redis-server", ADVICE), *flags], {}
