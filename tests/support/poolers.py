"""A real pgbouncer in transaction mode between a test and its Postgres."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.support.waiting import eventually
from tools.embedded.ports import LOOPBACK, free_port
from tools.embedded.process import ChildProcess, Command, base_environment

CONFIGURATION = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = extra_float_digits
"""


def installed() -> bool:
    """Whether pgbouncer is installed."""
    return shutil.which("pgbouncer") is not None


@asynccontextmanager
async def pooled(url: str, folder: Path) -> AsyncIterator[str]:
    """The URL of the same database through a pooler with two server connections."""
    parts, listen = urlsplit(url), free_port()
    folder.chmod(0o755)
    for above in folder.parents[:3]:
        # As root, it runs as the user nobody, who needs access.
        if os.geteuid() == 0 and not above.stat().st_mode & 0o005:
            above.chmod(0o755)
    users, settings = folder / "users.txt", folder / "pgbouncer.ini"
    users.write_text(f'"{parts.username}" ""\n')
    settings.write_text(CONFIGURATION.format(host=parts.hostname, port=parts.port, listen=listen, users=users))
    process = ChildProcess(
        Command(
            name="pgbouncer",
            arguments=["pgbouncer", str(settings)],
            log=folder / "pgbouncer.log",
            environment={**base_environment(), "PATH": f"{os.environ['PATH']}:/usr/sbin"},
            user="nobody" if os.geteuid() == 0 else None,
        )
    )
    process.start()
    through = urlunsplit(parts._replace(netloc=f"{parts.username}@{LOOPBACK}:{listen}"))
    try:

        async def answers() -> bool:
            if process.status is not None:
                raise process.failure("did not start")
            try:
                connection = await asyncpg.connect(through, statement_cache_size=0, timeout=2)
            except (OSError, asyncpg.PostgresError):
                return False
            await connection.close()
            return True

        await eventually(answers)
        yield through
    finally:
        await process.stop()
