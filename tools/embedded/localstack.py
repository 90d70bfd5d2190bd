"""A LocalStack (CloudFormation, SNS, SQS) from a virtual environment of its own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import httpx

from tools.embedded import service_catalog
from tools.embedded.errors import EmbeddedServerFailed
from tools.embedded.ports import LOOPBACK
from tools.embedded.process import ChildProcess, Command, base_environment
from tools.embedded.server import EmbeddedServer

ENVIRONMENT = Path(__file__).parents[2] / ".venv-localstack"
SERVICES = ("cloudformation", "sns", "sqs")
PROGRAM = Path(__file__).with_name("localstack_program.py")
READY_SECONDS = 90.0
"""The first start compiles some two thousand modules."""


class EmbeddedLocalStack(EmbeddedServer):
    """A LocalStack server, which keeps no data over a restart."""

    name = "LocalStack"

    @property
    def endpoint_url(self) -> str:
        """The URL for AWS clients."""
        return f"http://{LOOPBACK}:{self.port}"

    async def _launch(self) -> None:
        python = ENVIRONMENT / "bin" / "python"
        if not python.exists():
            raise EmbeddedServerFailed(f"LocalStack is not installed in {ENVIRONMENT.name}: run `make bootstrap`.")
        folder = self._open_folder()
        self._process = process = ChildProcess(self._command(python, folder))
        process.start()
        async with httpx.AsyncClient(base_url=self.endpoint_url, trust_env=False, timeout=5.0) as client:
            ready = await self._wait_until_ready(
                process, lambda: _has_loaded_services(client), seconds=READY_SECONDS, poll_seconds=0.05
            )
        if not ready:
            raise process.failure("did not start")
        service_catalog.keep(folder / "state", _kept_catalog())

    def _open_folder(self) -> Path:
        """Start with an empty state: the cache of LocalStack's plug-ins can be out of date after an installation."""
        folder = self._folder or Path(tempfile.mkdtemp(prefix="event-trio-localstack-"))
        try:
            shutil.rmtree(folder / "state", ignore_errors=True)
            (folder / "state" / "tmp").mkdir(parents=True)
            service_catalog.restore(_kept_catalog(), folder / "state")
        except OSError as error:
            raise EmbeddedServerFailed(
                f"The folder of LocalStack cannot be used: {error.filename or folder}: {error.strerror}. "
                f"Remove it (rm -rf {folder})."
            ) from error
        return folder

    def _command(self, python: Path, folder: Path) -> Command:
        state = folder / "state"
        return Command(
            name=self.name,
            arguments=[str(python), "-P", str(PROGRAM)],
            log=folder / "localstack.log",
            environment={
                **base_environment(),
                "GATEWAY_SERVER": "hypercorn",  # the default server ignores GATEWAY_LISTEN and listens on all addresses
                # In a container LocalStack would look for the layout of its own image, below /usr/lib/localstack.
                "OVERRIDE_IN_DOCKER": "0",
                "GATEWAY_LISTEN": f"{LOOPBACK}:{self.port}",
                "LOCALSTACK_HOST": f"{LOOPBACK}:{self.port}",
                "SERVICES": ",".join(SERVICES),
                # Loading a service takes seconds, longer than the timeout of a call: load all before it is ready.
                "EAGER_SERVICE_LOADING": "1",
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


async def _has_loaded_services(client: httpx.AsyncClient) -> bool:
    try:
        answer = await client.get("/_localstack/health")
    except httpx.TransportError:
        return False
    states: dict[str, str] = answer.json().get("services", {}) if answer.is_success else {}
    return all(states.get(service) == "running" for service in SERVICES)


def _kept_catalog() -> Path:
    """Inside the installation, with which it ends."""
    return ENVIRONMENT / "service-catalog"


def version() -> str:
    """The installed version, such as "4.13.1"; "missing" without an installation."""
    found = [path.name.split("-")[1] for path in ENVIRONMENT.glob("lib/*/site-packages/localstack_core-*.dist-info")]
    return found[0].removesuffix(".dist") if found else "missing"
