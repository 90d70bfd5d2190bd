"""LocalEmu, which enforces IAM policies and serves TLS, and callers with the policies of this project."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioboto3
import httpx
from aiobotocore.config import AioConfig

from tests.support.certificates import self_signed
from tests.support.processes import ROOT
from tools.embedded.ports import LOOPBACK
from tools.embedded.process import ChildProcess, Command, base_environment
from tools.embedded.server import EmbeddedServer

PYTHON = ROOT / ".venv-localemu" / "bin" / "python"
SERVICES = "cloudformation,sns,sqs,iam,sts"
ROOT_KEY = "test"
"""The access key that may do everything."""
ACCOUNT = "000000000000"
REGION = "us-east-1"
READY_SECONDS = 90.0


@dataclass(frozen=True)
class Caller:
    """Credentials of a caller of AWS."""

    key: str
    secret: str
    token: str | None = None


ADMINISTRATOR = Caller(ROOT_KEY, ROOT_KEY)


class LocalEmu(EmbeddedServer):
    """A LocalEmu server that denies what no policy allows."""

    name = "LocalEmu"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._state = folder / "state"
        folder.mkdir(parents=True, exist_ok=True)
        self.bundle = self_signed(folder, host="localhost").bundle

    def url(self, scheme: str = "https") -> str:
        """Its address; the queue policies refuse what comes over http."""
        return f"{scheme}://localhost:{self.port}"

    @asynccontextmanager
    async def client(self, service: str, caller: Caller, *, scheme: str = "https") -> AsyncIterator[Any]:
        """A client with the credentials of a caller."""
        session = aioboto3.Session(caller.key, caller.secret, caller.token, REGION)
        config = AioConfig(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=20, connect_timeout=5)
        async with session.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.url(scheme),
            verify=str(self.bundle) if scheme == "https" else False,
            config=config,
        ) as client:
            yield client

    async def _launch(self) -> None:
        shutil.rmtree(self._state, ignore_errors=True)
        (self._state / "tmp").mkdir(parents=True)
        key = self.bundle.with_name("key.pem").read_text()
        both = self.bundle.with_name("server.pem")
        both.write_text(key + self.bundle.read_text())
        self._process = process = ChildProcess(
            Command(
                name=self.name,
                arguments=[str(PYTHON), "-m", "localemu.runtime.main"],
                log=self._state.with_name("localemu.log"),
                environment={**base_environment(), **self._settings(both)},
                folder=self._state,
                grace_seconds=2.0,  # it may take minutes to stop by itself, and has nothing to keep
            )
        )
        process.start()
        async with httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=str(self.bundle)), trust_env=False
        ) as api:

            async def is_ready() -> bool:
                try:
                    return (await api.get(f"{self.url()}/_localemu/health", timeout=5.0)).is_success
                except httpx.TransportError:
                    return False

            ready = await self._wait_until_ready(process, is_ready, seconds=READY_SECONDS, poll_seconds=0.1)
        if not ready:
            raise process.failure("did not start")

    def _settings(self, certificate: Path) -> Mapping[str, str]:
        return {
            "IAM_ENFORCEMENT": "1",
            "ROOT_ACCESS_KEYS": ROOT_KEY,
            "CUSTOM_SSL_CERT_PATH": str(certificate),
            "GATEWAY_SERVER": "hypercorn",
            "GATEWAY_LISTEN": f"{LOOPBACK}:{self.port}",
            "LOCALEMU_HOST": f"localhost:{self.port}",
            "OVERRIDE_IN_DOCKER": "0",
            "SERVICES": SERVICES,
            "EAGER_SERVICE_LOADING": "1",
            "SQS_ENDPOINT_STRATEGY": "path",
            "DNS_ADDRESS": "0",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "FILESYSTEM_ROOT": str(self._state),
            "HOME": str(self._state),
            "XDG_CACHE_HOME": str(self._state),
            "TMPDIR": str(self._state / "tmp"),
        }

    @asynccontextmanager
    async def plain_port(self) -> AsyncIterator[str]:
        """An address without TLS, for processes that verify certificates: what they send is forwarded over TLS."""
        trusted = ssl.create_default_context(cafile=str(self.bundle))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                upstream = await asyncio.open_connection(LOOPBACK, self.port, ssl=trusted, server_hostname="localhost")
                await asyncio.gather(_copy(reader, upstream[1]), _copy(upstream[0], writer))

        server = await asyncio.start_server(serve, LOOPBACK, 0)
        try:
            yield f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def user_with(emulator: LocalEmu, name: str, policies: list[str]) -> Caller:
    """A user with managed policies. Services read no session token with an endpoint, so it is no role."""
    async with emulator.client("iam", ADMINISTRATOR) as iam:
        await iam.create_user(UserName=name)
        for policy in policies:
            await iam.attach_user_policy(UserName=name, PolicyArn=policy)
        key = (await iam.create_access_key(UserName=name))["AccessKey"]
    return Caller(key["AccessKeyId"], key["SecretAccessKey"])


async def role_with(emulator: LocalEmu, name: str, policy: str) -> Caller:
    """The credentials of somebody who assumed a role with one managed policy."""
    anybody = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    async with emulator.client("iam", ADMINISTRATOR) as iam, emulator.client("sts", ADMINISTRATOR) as sts:
        await iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(anybody))
        await iam.attach_role_policy(RoleName=name, PolicyArn=policy)
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        answer = await sts.assume_role(RoleArn=arn, RoleSessionName="test")
    found = answer["Credentials"]
    return Caller(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
