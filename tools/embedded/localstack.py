"""A real LocalStack (CloudFormation, SNS, SQS) on the loopback, from a virtual environment of its own."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tools.embedded.errors import EmbeddedServerFailed
from tools.embedded.ports import LOOPBACK, ensure_free, free_port
from tools.embedded.process import ChildProcess, Command, base_environment

ENVIRONMENT = Path(__file__).parents[2] / ".venv-localstack"
SERVICES = ("cloudformation", "sns", "sqs")
READY_SECONDS = 90.0  # the first start compiles some two thousand modules


class EmbeddedLocalStack:
    """One server. It keeps nothing over a restart; `folder` holds its log and what it litters (None: temporary)."""

    def __init__(
        self, folder: Path | None = None, *, port: int | None = None, port_variable: str = "a port of its own"
    ) -> None:
        self.port = port or 0
        self._folder = folder
        self._port_variable = port_variable
        self._server: ChildProcess | None = None

    @property
    def endpoint_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Start and wait until its services answer.

        Raises:
            EmbeddedServerFailed: with what to do about it.
        """
        python = ENVIRONMENT / "bin" / "python"
        if not python.exists():
            raise EmbeddedServerFailed(f"LocalStack is not installed in {ENVIRONMENT.name}: run `make bootstrap`.")
        if self.port:
            ensure_free(self.port, "LocalStack", self._port_variable)
        else:
            self.port = free_port()
        self._server = ChildProcess(self._command(python, self._open_folder()))
        self._server.start()
        await self._ready(self._server)

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

    def _open_folder(self) -> Path:
        """Start from an empty folder: LocalStack's cache of its plug-ins does not notice every new installation."""
        folder = self._folder or Path(tempfile.mkdtemp(prefix="event-trio-localstack-"))
        try:
            shutil.rmtree(folder / "state", ignore_errors=True)
            (folder / "state" / "tmp").mkdir(parents=True)
        except OSError as error:
            raise EmbeddedServerFailed(
                f"LocalStack's folder cannot be used: {error.filename or folder}: {error.strerror}. "
                f"Remove it (rm -rf {folder})."
            ) from error
        return folder

    def _command(self, python: Path, folder: Path) -> Command:
        state = folder / "state"
        return Command(
            name="LocalStack",
            arguments=[str(python), "-m", "localstack.runtime.main"],
            log=folder / "localstack.log",
            environment={
                **base_environment(),
                "GATEWAY_SERVER": "hypercorn",  # the default one listens on all addresses, whatever it is told
                # In a container it would look for the layout of its own image, below /usr/lib/localstack.
                "OVERRIDE_IN_DOCKER": "0",
                "GATEWAY_LISTEN": f"{LOOPBACK}:{self.port}",
                "LOCALSTACK_HOST": f"{LOOPBACK}:{self.port}",
                "SERVICES": ",".join(SERVICES),
                "SQS_ENDPOINT_STRATEGY": "path",
                "SQS_ENABLE_MESSAGE_RETENTION_PERIOD": "1",
                "DNS_ADDRESS": "0",
                "DISABLE_EVENTS": "1",
                "SKIP_SSL_CERT_DOWNLOAD": "1",
                "LS_LOG": "warning",
                "FILESYSTEM_ROOT": str(state),
                "HOME": str(state),
                "XDG_CACHE_HOME": str(state),
                "TMPDIR": str(state / "tmp"),
            },
            folder=state,
            remove=() if self._folder else (folder,),
        )

    async def _ready(self, server: ChildProcess) -> None:
        deadline = time.monotonic() + READY_SECONDS
        async with httpx.AsyncClient(base_url=self.endpoint_url, trust_env=False, timeout=5.0) as client:
            while True:
                if server.status is not None:
                    raise server.failure("did not start")
                if await self._answers(client):
                    return
                if time.monotonic() > deadline:
                    raise server.failure(f"does not answer after {READY_SECONDS:.0f} s")
                await asyncio.sleep(0.05)

    @staticmethod
    async def _answers(client: httpx.AsyncClient) -> bool:
        try:
            answer = await client.get("/_localstack/health")
        except httpx.TransportError:
            return False
        states: dict[str, str] = answer.json().get("services", {}) if answer.is_success else {}
        return all(states.get(service) in {"available", "running"} for service in SERVICES)


def version() -> str:
    """For example "4.13.1"; "missing" without an installation."""
    found = [path.name.split("-")[1] for path in ENVIRONMENT.glob("lib/*/site-packages/localstack_core-*.dist-info")]
    return found[0].removesuffix(".dist") if found else "missing"
