"""A replication connection to Postgres. It uses psycopg, because asyncpg has no COPY BOTH mode."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from event_trio.database.connections import CONNECT_SECONDS
from event_trio.database.session_limits import NO_TRANSACTION_LIMIT
from event_trio.database.url import DatabaseUrl
from event_trio.errors import EventTrioError

from . import pgoutput
from .slots import application_name

# A connection whose other end is gone without a word is noticed after about 20 seconds.
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2, "tcp_user_timeout": 20_000}
WRITE_SECONDS = 5.0


class ReplicationFailed(EventTrioError):
    """The replication connection cannot be opened, or has ended."""

    def __init__(self, text: str, sqlstate: str | None = None) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


class ReplicationConnection:
    """Streams the changes of one slot."""

    def __init__(self, connection: psycopg.AsyncConnection[object]) -> None:
        self._connection = connection
        self._libpq = connection.pgconn

    @classmethod
    async def open(cls, url: DatabaseUrl, relay_id: UUID) -> ReplicationConnection:
        """Connect; the name of the connection tells other relays whose it is. Raises ReplicationFailed."""
        try:
            connection = await psycopg.AsyncConnection.connect(
                make_conninfo("", **_arguments(url, relay_id)), autocommit=True
            )
            try:
                # The role may be that of the relay, whose limit would end a stream that waits for the relay.
                await connection.execute(NO_TRANSACTION_LIMIT)
            except BaseException:
                await connection.close()
                raise
            return cls(connection)
        except (psycopg.Error, OSError) as error:
            raise ReplicationFailed(_first_line(str(error)), getattr(error, "sqlstate", None)) from error

    async def start(self, slot: str, publication: str, *, messages: bool = False) -> None:
        """Begin behind the confirmed position of the slot. Raises ReplicationFailed.

        With `messages`, what `pg_logical_emit_message` writes is sent too.
        """
        more = ", messages 'true'" if messages else ""
        command = (
            f"START_REPLICATION SLOT {_identifier(slot)} LOGICAL 0/0 "
            f"(proto_version '1', publication_names {_literal(_identifier(publication))}{more})"
        )
        try:
            self._libpq.send_query(command.encode())
            await self._flush()
            while self._libpq.is_busy():
                await self.readable(CONNECT_SECONDS)
                self._libpq.consume_input()
        except psycopg.Error as error:
            raise ReplicationFailed(_first_line(str(error))) from error
        result = self._libpq.get_result()
        if result is None or result.status != pq.ExecStatus.COPY_BOTH:
            raise _failure(result)

    async def readable(self, seconds: float) -> bool:
        """Wait until something can be read, at most so long; returns whether it can."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._libpq.socket, readable.set)
        try:
            async with asyncio.timeout(seconds):
                await readable.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._libpq.socket)
        return True

    def received(self) -> Iterator[bytes]:
        """Yield the messages that have arrived, without waiting. Raises ReplicationFailed when the stream has ended."""
        try:
            self._libpq.consume_input()
            while True:
                length, data = self._libpq.get_copy_data(1)
                if length == 0:
                    return
                if length < 0:
                    raise _failure(self._libpq.get_result())
                yield bytes(data)
        except psycopg.Error as error:
            raise ReplicationFailed(_first_line(str(error))) from error

    async def confirm(self, position: int, *, reply: bool = False) -> None:
        """Tell the server that everything before a position is dealt with. Raises ReplicationFailed."""
        try:
            self._libpq.put_copy_data(pgoutput.status(position, reply=reply))
            await self._flush()
        except psycopg.Error as error:
            raise ReplicationFailed(_first_line(str(error))) from error

    async def close(self) -> None:
        """Close the connection, which frees the slot."""
        await self._connection.close()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._libpq.flush():
            writable = asyncio.Event()
            loop.add_writer(self._libpq.socket, writable.set)
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await writable.wait()
            except TimeoutError as error:
                raise ReplicationFailed("the server reads nothing") from error
            finally:
                loop.remove_writer(self._libpq.socket)


def _arguments(url: DatabaseUrl, relay_id: UUID) -> dict[str, str | int]:
    hosts, ports = zip(*url.hosts, strict=True)
    return {
        "host": ",".join(hosts),
        "port": ",".join(str(port) for port in ports),
        "user": url.user,
        "password": url.password or "",
        "dbname": url.database,
        "sslmode": url.sslmode,
        **url.parameters,
        "application_name": application_name(relay_id),
        "replication": "database",
        "connect_timeout": int(CONNECT_SECONDS),
        # Neither a password file nor a service file of the user adds to the URL. libpq warns of one that is no plain
        # file, and not of one that cannot exist.
        "passfile": "/dev/null/none",
        **KEEPALIVES,
    }


def _failure(result: pq.abc.PGresult | None) -> ReplicationFailed:
    if result is None:
        return ReplicationFailed("the stream of the replication slot has ended")
    text = result.error_message.decode(errors="replace")
    sqlstate = result.error_field(pq.DiagnosticField.SQLSTATE)
    return ReplicationFailed(
        _first_line(text) or "the server ended the stream", sqlstate.decode() if sqlstate else None
    )


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
