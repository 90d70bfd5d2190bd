"""The embedded Postgres: which data survives, what is removed, and why it cannot start."""

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from tests.support.waiting import eventually
from tools.embedded.errors import EmbeddedServerFailed, PortInUse
from tools.embedded.postgres import EmbeddedPostgres
from tools.embedded.postmaster import clear_stale_pid


@pytest.fixture
def folder(postgres_folder: Path) -> Path:
    return postgres_folder / "postgres"


async def test_committed_rows_survive_a_kill_and_a_stale_pid_file(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as first:
        await _execute(first, "CREATE TABLE kept AS SELECT 42 AS answer")
        postmaster = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGKILL)
        await eventually(_ended(first))
    assert (folder / "data" / "postmaster.pid").exists()
    async with EmbeddedPostgres(folder) as second:
        assert await _execute(second, "SELECT answer FROM kept") == 42


async def test_a_pid_file_with_the_id_of_another_program_is_removed(folder: Path) -> None:
    async with EmbeddedPostgres(folder):
        pass
    lock = folder / "data" / "postmaster.pid"
    lock.write_text(f"{os.getppid()}\n{folder / 'data'}\n")
    async with EmbeddedPostgres(folder) as server:
        assert await _execute(server, "SELECT 1") == 1


async def test_a_folder_in_use_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.embedded.postmaster.STOP_SECONDS", 0.1)
    async with EmbeddedPostgres(folder):
        with pytest.raises(EmbeddedServerFailed, match=r"already running on .*stop the other `make demo`"):
            await clear_stale_pid(folder / "data")


async def test_a_fresh_start_deletes_the_data_but_never_that_of_a_running_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.embedded.postmaster.STOP_SECONDS", 0.1)
    async with EmbeddedPostgres(folder) as first:
        await _execute(first, "CREATE TABLE kept AS SELECT 42 AS answer")
        with pytest.raises(EmbeddedServerFailed, match=r"already running on"):
            await EmbeddedPostgres(folder, fresh=True).start()
        assert await _execute(first, "SELECT answer FROM kept") == 42
    async with EmbeddedPostgres(folder, fresh=True) as second:
        assert await _execute(second, "SELECT to_regclass('kept')") is None
    assert sorted(path.name for path in folder.iterdir()) == ["data", "initdb.log", "postgres.log"]


async def test_a_temporary_folder_is_removed_with_the_server() -> None:
    async with EmbeddedPostgres() as server:
        data = Path(str(await _execute(server, "SHOW data_directory")))
        assert data.exists()
    assert not data.parent.exists()


async def test_a_port_in_use_is_reported_before_anything_is_created(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as server:
        second = EmbeddedPostgres(folder.with_name("second"), port=server.port, port_variable="DEMO_POSTGRES_PORT")
        with pytest.raises(PortInUse, match=rf"Port {server.port} .*DEMO_POSTGRES_PORT"):
            await second.start()
    assert not folder.with_name("second").exists()


def _of_another_version(data: Path) -> None:
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9.6\n")


def _with_other_things_in_it(data: Path) -> None:
    data.mkdir(parents=True)
    (data / "holiday.jpg").write_text("")


def _a_file(data: Path) -> None:
    data.parent.write_text("")


def _damaged(data: Path) -> None:
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (_of_another_version, r"created by Postgres 9.6, .*rm -rf .*POSTGRES_BIN"),
        (_with_other_things_in_it, r"is not a Postgres data folder: .*rm -rf"),
        (_a_file, r"The data folder cannot be used: .*rm -rf"),
        (_damaged, r"(?s)did not start.*rm -rf .*postgres.log:\n.+"),
    ],
)
async def test_an_unusable_folder_is_reported(
    folder: Path, breakage: Callable[[Path], None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.embedded.postgres.RESTART_SECONDS", 0.0)
    breakage(folder / "data")
    with pytest.raises(EmbeddedServerFailed, match=message):
        async with EmbeddedPostgres(folder):
            pass


def _open_to_all(data: Path) -> None:
    data.chmod(0o777)


def _closed(data: Path) -> None:
    (data / "base").chmod(0o000)
    data.chmod(0o000)


def _read_only(data: Path) -> None:
    for path in (*data.rglob("*"), data, data.parent):
        path.chmod(0o555 if path.is_dir() else 0o444)


def _of_another_user(data: Path) -> None:
    if os.geteuid() == 0:
        for path in (data, *data.rglob("*")):
            os.chown(path, 0, 0)
    else:
        data.chmod(0o755)


async def test_changed_modes_and_owners_are_repaired_and_the_data_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = EmbeddedPostgres(folder)
    async with server:
        await _execute(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert capsys.readouterr().err == ""
    for change in (_open_to_all, _closed, _read_only, _of_another_user):
        change(folder / "data")
        async with server:
            assert await _execute(server, "SELECT answer FROM kept") == 42
        assert "repaired, with all data kept" in capsys.readouterr().err


async def test_a_missing_installation_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_BIN", str(folder))
    with pytest.raises(EmbeddedServerFailed, match=r"correct POSTGRES_BIN"):
        await EmbeddedPostgres(folder).start()


async def _execute(server: EmbeddedPostgres, statement: str) -> object:
    connection = await asyncpg.connect(server.admin_url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _ended(server: EmbeddedPostgres) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        try:
            await _execute(server, "SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return True
        return False

    return check
