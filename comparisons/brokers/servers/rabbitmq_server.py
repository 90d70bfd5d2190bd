"""A RabbitMQ node of the machine's package, with a name daemon of its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import aio_pika

from comparisons.brokers.servers.broker_server import BrokerServer, program
from comparisons.contract import NotAvailable
from tools.embedded.ports import LOOPBACK, free_ports
from tools.embedded.process import ChildProcess, Command, base_environment

ADVICE = "install the package rabbitmq-server"
PLACES = (Path("/usr/lib/rabbitmq/lib"), Path("/opt/rabbitmq"), Path("/opt/homebrew/opt/rabbitmq"))


class RabbitServer(BrokerServer):
    """RabbitMQ. The name daemon of Erlang would stay behind, so it is started and stopped here."""

    name = "RabbitMQ"

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self._names: ChildProcess | None = None
        self._names_port, self._cluster_port = free_ports(2)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/"

    def version(self) -> str:
        return _script().parent.parent.name.rpartition("-")[2]

    async def _launch(self) -> None:
        if self._names is None:
            self._names = ChildProcess(
                Command(
                    name="epmd",
                    arguments=[program("epmd", ADVICE), "-address", LOOPBACK, "-port", str(self._names_port)],
                    log=self.data / "epmd.log",
                    environment=base_environment(),
                )
            )
            self._names.start()
        await super()._launch()

    async def __aexit__(self, *raised: object) -> None:
        try:
            await super().__aexit__(*raised)
        finally:
            if self._names is not None:
                await self._names.stop()

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        script = _script()
        if shutil.which("erl") is None:
            raise NotAvailable(f"Erlang is not installed: {ADVICE}")
        (self.data / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = {LOOPBACK}:{self.port}\nvm_memory_high_watermark.relative = 0.2\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        (self.data / "enabled_plugins").write_text("[].\n")
        variables = {
            "HOME": str(self.data),
            "RABBITMQ_NODENAME": f"broker{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(self.data / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.data / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.data / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.data / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.data / "pid"),
            "RABBITMQ_DIST_PORT": str(self._cluster_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
        }
        return [str(script)], variables

    async def _is_ready(self) -> bool:
        """Whether a client can open a channel: the port accepts connections earlier."""
        if not await super()._is_ready():
            return False
        try:
            connection = await aio_pika.connect(self.url, timeout=2)
            await connection.channel()
            await connection.close()
        except (aio_pika.exceptions.AMQPError, OSError, TimeoutError):
            return False
        return True


def _script() -> Path:
    """The program itself: the command on the path changes to a user of the package."""
    found = sorted(path for place in PLACES for path in place.glob("**/sbin/rabbitmq-server"))
    if not found:
        raise NotAvailable(f"rabbitmq-server is not installed: {ADVICE}")
    return found[-1]
