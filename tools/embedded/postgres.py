"""A Postgres from a package of binaries, with a data folder of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from event_trio.database.connections import connect
from tools.embedded import installation
from tools.embedded.data_folder import DataFolder
from tools.embedded.errors import EmbeddedServerFailed
from tools.embedded.installation import Installation
from tools.embedded.permissions import repair
from tools.embedded.ports import LOOPBACK
from tools.embedded.postmaster import clear_stale_pid
from tools.embedded.process import ChildProcess, Command, base_environment
from tools.embedded.server import EmbeddedServer

ADMIN = "postgres"
READY_SECONDS = 30.0
RESTART_SECONDS = 5.0
"""After a kill -9, the children of the former server may hold the data folder this long."""

SETTINGS = {
    "wal_level": "logical",
    "max_connections": "200",
    # Without fsync, data survives a kill -9 of the server but not a power failure, which suffices for demo and tests.
    # synchronous_commit stays on: without it a kill -9 loses committed rows.
    "fsync": "off",
    "full_page_writes": "off",
}


class EmbeddedPostgres(EmbeddedServer):
    """A Postgres server.

    With `fresh`, the first start deletes the data of an earlier server in the folder. Without a folder, the data is in
    a temporary one, in `temporary` if that is given.
    """

    name = "Postgres"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int | None = None,
        port_variable: str = "another port",
        fresh: bool = False,
        settings: Mapping[str, str] | None = None,
        temporary: Path | None = None,
    ) -> None:
        super().__init__(folder, port=port, port_variable=port_variable)
        self._fresh = fresh
        self._temporary = temporary
        self._settings = {**SETTINGS, **(settings or {})}

    @property
    def admin_url(self) -> str:
        """The URL of the database `postgres` as a superuser."""
        return f"postgresql://{ADMIN}@{LOOPBACK}:{self.port}/postgres"

    async def _launch(self) -> None:
        place = installation.find()
        try:
            folder = await self._prepare(place)
        except OSError as error:
            path = error.filename or self._folder
            raise EmbeddedServerFailed(
                f"The data folder cannot be used: {path}: {error.strerror}. Make it a writable folder; only if its "
                f"data may be lost, remove it (rm -rf {self._folder}), and it is recreated."
            ) from error
        await self._serve(place, folder)

    async def _prepare(self, place: Installation) -> DataFolder:
        folder = DataFolder.open(self._folder, place.user, self._temporary)
        if folder.data.is_dir() and (message := repair(folder.data, place.user)):
            print(message, file=sys.stderr)
        await clear_stale_pid(folder.data)
        folder.remove_remains()
        if self._fresh:
            folder.delete_data()
            self._fresh = False  # a restart keeps the data
        if not folder.has_data(place.version()):
            await self._initialize(place, folder)
        return folder

    async def _initialize(self, place: Installation, folder: DataFolder) -> None:
        options = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--no-locale", f"--username={ADMIN}"]
        process = ChildProcess(_command(place, folder, "initdb", [*options, str(folder.unfinished)]))
        process.start()
        try:
            status = await process.wait(READY_SECONDS)
        finally:
            await process.stop()
        if status != 0:
            raise process.failure("could not create the data folder", "Is the disk full?")
        folder.finish()

    async def _serve(self, place: Installation, folder: DataFolder) -> None:
        settings = {
            **self._settings,
            "port": str(self.port),
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        remove = () if self._folder else (folder.path,)
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            command = _command(place, folder, "postgres", ["-D", str(folder.data), *flags], remove)
            self._process = process = ChildProcess(command)
            process.start()
            if await self._wait_until_ready(process, self._is_ready, seconds=READY_SECONDS, poll_seconds=0.02):
                return
            if time.monotonic() > deadline:
                raise process.failure(
                    "did not start",
                    f"See the log. Only if the data may be lost, remove the folder (rm -rf {folder.path}); it is "
                    "recreated.",
                )
            await asyncio.sleep(0.3)

    async def _is_ready(self) -> bool:
        """Whether a connection works; the port accepts connections before the server does."""
        try:
            connection = await connect(self.admin_url)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        await connection.close()
        return True


def _command(
    place: Installation, folder: DataFolder, program: str, arguments: list[str], remove: tuple[Path, ...] = ()
) -> Command:
    return Command(
        name=f"Postgres ({program})",
        arguments=[str(place.programs / program), *arguments],
        log=folder.path / f"{program}.log",
        environment={**base_environment(), "LC_ALL": "C"},
        folder=Path("/"),
        user=place.user,
        stop_signal=signal.SIGINT,  # fast shutdown, which does not wait for clients
        remove=remove,
    )
