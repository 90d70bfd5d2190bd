"""A real Postgres on the loopback, from binaries, with a data folder of its own."""

import asyncio
import hashlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from event_trio.database.connections import connect
from tools.embedded import installation
from tools.embedded.errors import EmbeddedServerFailed
from tools.embedded.permissions import mend
from tools.embedded.ports import LOOPBACK, ensure_free, free_port
from tools.embedded.postmaster import clear_stale_pid
from tools.embedded.process import ChildProcess, Command, base_environment

ADMIN = "postgres"
READY_SECONDS = 30.0
RESTART_SECONDS = 5.0  # after a kill -9 the children of the former server may hold the data folder a little longer

SETTINGS = {
    "wal_level": "logical",
    "max_connections": "200",
    # Survives kill -9 of the server, not a power cut: right for demo and tests. synchronous_commit stays on:
    # without it a kill -9 loses committed rows.
    "fsync": "off",
    "full_page_writes": "off",
}


class EmbeddedPostgres:
    """One server; `folder` is where its data and log live (None: a temporary one, removed at the end).

    With `fresh` the data that an earlier server left in the folder is forgotten.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int | None = None,
        port_variable: str = "a port of its own",
        fresh: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port or 0
        self._folder = folder
        self._port_variable = port_variable
        self._fresh = fresh
        self._settings = {**SETTINGS, **(settings or {})}
        self._server: ChildProcess | None = None

    @property
    def admin_url(self) -> str:
        return f"postgresql://{ADMIN}@{LOOPBACK}:{self.port}/postgres"

    async def start(self) -> None:
        """Start and wait until it takes connections.

        Raises:
            EmbeddedServerFailed: with what to do about it.
        """
        if self.port:
            ensure_free(self.port, "Postgres", self._port_variable)
        else:
            self.port = free_port()
        place = installation.find()
        try:
            folder = self._open_folder(place)
            if (folder / "data").is_dir() and (mended := mend(folder / "data", place.user)):
                print(mended, file=sys.stderr)
            await clear_stale_pid(folder / "data")
            self._clear(folder)
            self._fresh = False  # what this server itself has written stays, should it be started again
            await self._create(place, folder)
        except OSError as error:
            named = error.filename or self._folder
            raise EmbeddedServerFailed(
                f"The data folder cannot be used: {named}: {error.strerror}. Make it a folder that you may write to; "
                f"only if its data may go, remove it (rm -rf {self._folder}), and it is made anew."
            ) from error
        await self._serve(place, folder)

    @property
    def has_ended(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self._server is not None and self._server.status is not None

    async def stop(self) -> None:
        if self._server:
            await self._server.stop()
            self._server = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _open_folder(self, place: installation.Installation) -> Path:
        """Make the folder, reachable for and owned by whoever runs the server."""
        folder = self._folder or Path(tempfile.mkdtemp(prefix="event-trio-postgres-data-"))
        if place.user and not installation.reachable_by_everyone(folder.parent):
            digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
            folder = Path(tempfile.gettempdir()) / f"event-trio-{digest}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if place.user:
            shutil.chown(folder, place.user)
        mode = folder.stat().st_mode
        if mode & 0o700 != 0o700:
            folder.chmod(mode | 0o700)
        return folder

    def _clear(self, folder: Path) -> None:
        # First out of the way, then removed: half a data folder could be neither used nor recognised.
        forgotten, data = folder / "data.forgotten", folder / "data"
        shutil.rmtree(forgotten, ignore_errors=True)
        if self._fresh and (data / "PG_VERSION").exists():
            data.rename(forgotten)
            shutil.rmtree(forgotten)

    async def _create(self, place: installation.Installation, folder: Path) -> None:
        data = folder / "data"
        if (data / "PG_VERSION").exists():
            found, wanted = (data / "PG_VERSION").read_text().strip(), place.version().split(".")[0]
            if found != wanted:
                raise EmbeddedServerFailed(
                    f"{data} was made by Postgres {found} and this is {wanted}: remove it (rm -rf {data}) to start "
                    "with an empty database, or set POSTGRES_BIN to the other version."
                )
            return
        if data.exists() and any(data.iterdir()):
            raise EmbeddedServerFailed(
                f"{data} is not a Postgres data folder: move what is in it elsewhere, or remove it (rm -rf {data})."
            )
        unfinished = data.with_name("data.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        creation = ChildProcess(
            self._command(
                place,
                folder,
                "initdb",
                [
                    *("--no-sync", "--auth=trust", "--encoding=UTF8", "--no-locale"),
                    f"--username={ADMIN}",
                    str(unfinished),
                ],
            )
        )
        creation.start()
        try:
            status = await creation.wait(READY_SECONDS)
        finally:
            await creation.stop()
        if status != 0:
            raise creation.failure("could not make the data folder", "Is the disk full?")
        if data.exists():
            data.rmdir()
        unfinished.rename(data)

    async def _serve(self, place: installation.Installation, folder: Path) -> None:
        settings = {
            **self._settings,
            "port": str(self.port),
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        arguments = ["-D", str(folder / "data"), *flags]
        remove = () if self._folder else (folder,)
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            self._server = ChildProcess(self._command(place, folder, "postgres", arguments, remove))
            self._server.start()
            if await self._ready(self._server, self.admin_url):
                return
            if time.monotonic() > deadline:
                raise self._server.failure(
                    "did not start",
                    f"The log says why. Only if the data may go, remove the folder (rm -rf {folder}); it is made anew.",
                )
            await asyncio.sleep(0.3)

    @staticmethod
    async def _ready(server: ChildProcess, url: str) -> bool:
        """Wait until a connection works: an open port is not ready yet. False when the server ended."""
        deadline = time.monotonic() + READY_SECONDS
        while server.status is None:
            try:
                connection = await connect(url)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                if time.monotonic() > deadline:
                    raise server.failure(f"takes no connections after {READY_SECONDS:.0f} s") from None
                await asyncio.sleep(0.02)
            else:
                await connection.close()
                return True
        return False

    def _command(
        self,
        place: installation.Installation,
        folder: Path,
        program: str,
        arguments: list[str],
        remove: tuple[Path, ...] = (),
    ) -> Command:
        return Command(
            name=f"Postgres ({program})",
            arguments=[str(place.programs / program), *arguments],
            log=folder / f"{program}.log",
            environment={**base_environment(), "LC_ALL": "C"},
            folder=Path("/"),
            user=place.user,
            stop_signal=signal.SIGINT,  # fast shutdown: does not wait for clients
            remove=remove,
        )
