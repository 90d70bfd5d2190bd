"""TLS to Postgres according to `sslmode`, for every kind of connection."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import text

from event_trio.database.connections import connect, create_engine, create_pool
from tests.support.servers import PostgresServer

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


class TlsFront:
    """A TLS proxy for a Postgres that was built without TLS, with the protocol's SSLRequest."""

    def __init__(self, admin_url: str, context: ssl.SSLContext) -> None:
        self._target = urlsplit(admin_url)
        self._context = context
        self.encrypted: set[bool] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            beginning = await reader.readexactly(8)
            with_tls = beginning == SSL_REQUEST
            if with_tls:
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(self._context)
                beginning = await reader.readexactly(8)
            self.encrypted.add(with_tls)
            behind = await asyncio.open_connection(self._target.hostname, self._target.port)
            behind[1].write(beginning)
            await asyncio.gather(_pump(reader, behind[1]), _pump(behind[0], writer))
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "server.crt", folder / "server.key"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public, private


@pytest.fixture
async def front(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[str, Path, TlsFront]]:
    public, private = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(public, private)
    made = TlsFront(postgres.admin_url, context)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    target = urlsplit(postgres.admin_url)
    address = f"{target.netloc.rpartition('@')[0]}@127.0.0.1:{port}"
    yield urlunsplit(target._replace(netloc=address)), public, made
    server.close()


async def use(url: str) -> None:
    """Run a query through each kind of connection."""
    connection = await connect(url)
    await connection.close()
    async with create_pool(url, application_name="tls") as pool:
        await pool.fetchval("SELECT 1")
    engine = create_engine(url, application_name="tls")
    async with engine.connect() as session:
        await session.execute(text("SELECT 1"))
    await engine.dispose()


async def test_every_sslmode_behaves_as_documented(front: tuple[str, Path, TlsFront]) -> None:
    url, authority, made = front
    elsewhere = url.replace("127.0.0.1", "localhost")
    vouched = f"sslrootcert={authority}"
    for mode, expected in {
        f"{url}": False,
        f"{url}?sslmode=allow": False,
        f"{url}?sslmode=prefer": True,
        f"{url}?sslmode=require": True,
        f"{url}?sslmode=verify-ca&{vouched}": True,
        f"{url}?sslmode=verify-full&{vouched}": True,
        f"{elsewhere}?sslmode=verify-ca&{vouched}": True,
    }.items():
        made.encrypted.clear()
        await use(mode)
        assert made.encrypted == {expected}, mode
    for refused in (f"{elsewhere}?sslmode=verify-full&{vouched}", f"{url}?sslmode=verify-full"):
        with pytest.raises(ssl.SSLCertVerificationError):
            await use(refused)
