"""The demo as a user runs it: its exit status, its output, and that no process survives it.

The end after its orders were notified is tested in `test_new_service.py`, with more services.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.support.databases import fetch
from tests.support.order_service import ORDER
from tests.support.sources import ROOT
from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK, free_ports
from tools.embedded.process import base_environment

VARIABLES = (
    "DEMO_ORDER_PORT",
    "DEMO_NOTIFICATION_PORT",
    "DEMO_ORDER_RELAY_PORT",
    "DEMO_NOTIFICATION_RELAY_PORT",
    "DEMO_CONSOLE_PORT",
    "DEMO_POSTGRES_PORT",
    "DEMO_LOCALSTACK_PORT",
)
START_SECONDS = 90.0

pytestmark = pytest.mark.timeout(180)


class Demo:
    """A demo in a process, with its own ports and folder."""

    def __init__(self, folder: Path) -> None:
        self.ports = dict(zip(VARIABLES, free_ports(len(VARIABLES)), strict=True))
        self.folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *options: str) -> asyncio.subprocess.Process:
        environment = base_environment() | {variable: str(port) for variable, port in self.ports.items()}
        command = [sys.executable, "-m", "tools.demo.main", "--folder", str(self.folder), "--orders", "3", *options]
        with (self.folder.parent / "output").open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        return self._process

    async def wait_for_output(self, text: str) -> None:
        async def check() -> bool:
            if self._process is None or self._process.returncode is not None:
                pytest.fail(f"the demo ended before it printed {text!r}:\n{self.output()}")
            return text in self.output()

        await eventually(check, timeout=START_SECONDS)

    def output(self) -> str:
        return (self.folder.parent / "output").read_text()

    async def ensure_ports_free(self) -> None:
        """Wait until no process listens on its ports."""

        async def check() -> bool:
            return not [port for port in self.ports.values() if _answers(port)]

        await eventually(check, timeout=30.0)

    async def end(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    # Not pytest's tmp_path, which only its owner may enter: as root, Postgres runs as another user.
    with TemporaryDirectory(prefix="event-trio-demo-") as name:
        Path(name).chmod(0o755)
        found = Demo(Path(name) / "run")
        yield found
        await found.end()
        await found.ensure_ports_free()


async def test_an_interrupt_during_the_start_ends_it_in_order(demo: Demo) -> None:
    process = await demo.start()
    await demo.wait_for_output("Postgres: ")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0, demo.output()
    await demo.ensure_ports_free()


async def test_a_process_that_ends_is_named_with_the_end_of_its_log(demo: Demo) -> None:
    process = await demo.start("--exit")
    await demo.wait_for_output("order.placed")
    started = re.search(r"Started server process \[(\d+)\]", (demo.folder / "logs" / "order-relay.log").read_text())
    assert started
    os.kill(int(started[1]), signal.SIGKILL)
    assert await process.wait() == 1
    assert "order-relay ended with status" in demo.output()
    assert f"The end of {demo.folder}/logs/order-relay.log" in demo.output()


async def test_killed_processes_are_restarted_with_their_data_and_end_with_a_killed_demo(demo: Demo) -> None:
    process = await demo.start("--restart")
    await demo.wait_for_output("Processes that you kill are restarted")
    server = f"postgresql://postgres@{LOOPBACK}:{demo.ports['DEMO_POSTGRES_PORT']}/postgres"
    (row,) = await fetch(server, "SHOW data_directory")
    os.kill(int((Path(row[0]) / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    await demo.wait_for_output("Postgres ended and is being restarted")
    before = demo.output().count("order.placed")
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{demo.ports['DEMO_ORDER_PORT']}", timeout=20) as api:

        async def is_accepted() -> bool:
            answer = await api.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": "after-the-kill"})
            return answer.status_code == 201

        await eventually(is_accepted, timeout=30)

    async def is_shown() -> bool:
        return demo.output().count("order.placed") > before

    await eventually(is_shown, timeout=30)
    process.kill()
    await process.wait()
    await demo.ensure_ports_free()


async def test_a_port_in_use_is_reported(demo: Demo) -> None:
    with socket.create_server((LOOPBACK, demo.ports["DEMO_NOTIFICATION_PORT"])):
        process = await demo.start()
        assert await process.wait() == 1
    assert "(the notification service) is in use" in demo.output()
    assert "DEMO_NOTIFICATION_PORT=" in demo.output()
    assert "Traceback" not in demo.output()


async def test_an_unusable_folder_is_reported(demo: Demo) -> None:
    demo.folder.write_text("not a folder")
    process = await demo.start()
    assert await process.wait() == 1
    assert f"remove it (rm -rf {demo.folder})" in demo.output()
    assert "Traceback" not in demo.output()
    demo.folder.unlink()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0
