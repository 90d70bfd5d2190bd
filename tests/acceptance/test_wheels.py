"""The wheels in an empty virtual environment outside the repository: the program of the library's README runs there."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.databases import database, fetch
from tests.support.servers import PostgresServer
from tests.support.shield import environment_of_installers
from tests.support.waiting import eventually
from tools import dist
from tools.bootstrap import find_uv
from tools.embedded.ports import free_port
from tools.embedded.process import ChildProcess, Command, base_environment

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "shared/examples/shop.py"
PAGES = ("shared/README.md", "docs/how-to/use-it-in-your-project.md")
STATES = """
SELECT (SELECT count(*) FROM mail) AS mails, count(*) FILTER (WHERE published_at IS NOT NULL) AS published
FROM outbox_event
"""
INSTALL_SECONDS = 400
# A consumer lets its last receive, of 20 s, end.
GRACE_SECONDS = 40.0
# What a user may have that runs neither a relay nor an HTTP server.
LIGHT = "import event_trio.outbox, event_trio.consumer"


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the wheels, and a folder to run in."""

    folder: Path

    def program(self, name: str) -> str:
        """The path of one of its programs."""
        return str(self.folder / "venv/bin" / name)

    def child(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> ChildProcess:
        """A process outside the repository, with nothing of it in its environment; not yet started."""
        log = self.folder / f"{name}.log"
        return ChildProcess(
            Command(
                name,
                arguments,
                log,
                environment={**base_environment(), **environment},
                folder=self.folder,
                grace_seconds=GRACE_SECONDS,
            )
        )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheels and source archives."""
    folder = tmp_path_factory.mktemp("dist")
    dist.build(folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheels with what they need, from the package index, in the versions that the tests run with."""
    folder = tmp_path_factory.mktemp("stranger")
    wheels = {path.name.partition("-")[0]: path for path in built.glob("*.whl")}
    wanted = [f"event-trio[outbox,consumer] @ {wheels['event_trio'].as_uri()}", str(wheels["event_trio_relay"])]
    constraints = folder / "constraints.txt"
    constraints.write_text(re.sub(r" \\\n.*|^ .*\n", "", (ROOT / "locks/dev.txt").read_text(), flags=re.MULTILINE))
    install(folder, ["--constraint", str(constraints), *wanted])
    return Installation(folder)


def install(folder: Path, arguments: list[str]) -> None:
    """Make `folder`/venv and install into it."""
    environment = environment_of_installers()
    uv, venv = find_uv(), str(folder / "venv")
    python = f"{venv}/bin/python"
    if uv:
        commands = [[uv, "venv", "--quiet", "--python", sys.executable, venv]]
        commands.append([uv, "pip", "install", "--quiet", "--python", python, *arguments])
    else:
        commands = [[sys.executable, "-m", "venv", venv], [python, "-m", "pip", "install", "--quiet", *arguments]]
    for command in commands:
        ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr


@pytest.mark.timeout(INSTALL_SECONDS)
async def test_the_program_of_the_readme_runs_with_the_wheels_alone(
    installed: Installation, postgres: PostgresServer, localstack: str
) -> None:
    program = installed.folder / "shop.py"
    program.write_text(EXAMPLE.read_text())
    async with database(postgres.admin_url, purpose="stranger") as made:
        environment = {"DATABASE_URL": made.url, "AWS_ENDPOINT_URL": localstack, "AWS_REGION": "us-east-1"}
        await finished(installed, ["python", "-m", "event_trio.testing", "shop-events", "mailer"], environment)
        settings = {"TOPIC": "shop-events", "HTTP_PORT": str(free_port()), "PUBLISH_CHECK_WAIT_SECONDS": "1"}
        async with (
            running(installed, "shop", [installed.program("python"), str(program)], environment) as shop,
            running(installed, "relay", [installed.program("event-trio-relay")], environment | settings) as relay,
        ):

            async def done(orders: int = 1) -> bool:
                for process in (shop, relay):
                    if process.status is not None:
                        raise process.failure("ended by itself")
                (exists,) = await fetch(made.url, "SELECT to_regclass('mail') IS NOT NULL AS exists")
                return exists["exists"] and await states(made.url) == (orders, orders)

            await eventually(done, timeout=90.0)
            arguments = [installed.program("python"), str(program)]
            async with running(installed, "shop-again", arguments, environment) as again:
                await eventually(lambda: done(orders=2), timeout=90.0)
                # The other one may have handled the order; before a program consumes, SIGTERM ends it at once.
                await eventually(lambda: _consumes(again), timeout=90.0)
                assert tuple(await asyncio.gather(shop.stop(), again.stop(), relay.stop())) == (0, 0, 0)
        assert await states(made.url) == (2, 2)


@pytest.mark.timeout(INSTALL_SECONDS)
async def test_the_relay_says_what_it_needs(installed: Installation) -> None:
    helped = await finished(installed, ["event-trio-relay", "--help"], {})
    assert "TOPIC (required)" in helped
    assert "DATABASE_URL (required)" in helped
    assert await finished(installed, ["event-trio-relay", "--version"], {}) == f"event-trio-relay {version()}\n"


@pytest.mark.timeout(INSTALL_SECONDS)
async def test_nothing_is_imported_from_the_repository(installed: Installation) -> None:
    program = f"{LIGHT}, event_trio_relay; print(event_trio.__file__); print(event_trio_relay.__file__)"
    found = await finished(installed, ["python", "-c", program], {})
    assert all(line.startswith(str(installed.folder)) for line in found.split())


@pytest.mark.timeout(INSTALL_SECONDS)
def test_a_wheel_can_be_built_from_the_source_archive(built: Path, tmp_path: Path) -> None:
    for archive in built.glob("*.tar.gz"):
        subprocess.run(["tar", "xzf", str(archive), "-C", str(tmp_path)], check=True)
        source = tmp_path / archive.name.removesuffix(".tar.gz")
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
    assert {path.name for path in tmp_path.glob("*.whl")} == {path.name for path in built.glob("*.whl")}
    assert {path.read_bytes() for path in tmp_path.glob("*.whl")} == {path.read_bytes() for path in built.glob("*.whl")}


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_show_the_program_that_the_test_runs(page: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert EXAMPLE.read_text() in blocks


def test_the_relay_takes_the_library_that_it_is_released_with() -> None:
    (bound,) = re.findall(
        r'"event-trio\[[^]]*\]~=(\d+\.\d+)\.\d+"', (ROOT / "services/relay/pyproject.toml").read_text()
    )
    assert version().startswith(f"{bound}.")


async def states(url: str) -> tuple[int, int]:
    """How many mails there are, and how many events were published."""
    (row,) = await fetch(url, STATES)
    return row["mails"], row["published"]


def version() -> str:
    """The version of the library."""
    (found,) = re.findall(r'__version__ = "(.+)"', (ROOT / "shared/event_trio/__init__.py").read_text())
    return str(found)


async def finished(installed: Installation, command: list[str], environment: Mapping[str, str]) -> str:
    """Run a program of the virtual environment to its end; returns its output."""
    program, *arguments = command
    process = await asyncio.create_subprocess_exec(
        *(installed.program(program), *arguments),
        cwd=installed.folder,
        env={**base_environment(), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def _consumes(process: ChildProcess) -> bool:
    return "consumer started" in process.command.log.read_text()


@asynccontextmanager
async def running(
    installed: Installation, name: str, arguments: list[str], environment: Mapping[str, str]
) -> AsyncIterator[ChildProcess]:
    """A process that is stopped at the end."""
    process = installed.child(name, arguments, environment)
    process.start()
    try:
        yield process
    finally:
        await process.stop()
