"""The embedded LocalStack listens on the loopback only and has the services that the templates need."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from event_trio.broker.aws import Aws, sqs
from tools.embedded import localstack
from tools.embedded.errors import EmbeddedServerFailed
from tools.embedded.localstack import EmbeddedLocalStack

# Beside the environment of the tests, also where they run in a copy of the project.
PYTHON = Path(sys.prefix).parent / ".venv-localstack" / "bin" / "python"
IN_CONTAINER = """
import os
exists = os.path.exists
os.path.exists = lambda path: path == "/.dockerenv" or exists(path)
from localstack import config
print(config.is_in_docker)
"""


async def test_it_listens_on_the_loopback_only_and_removes_stale_files(tmp_path: Path) -> None:
    folder = tmp_path / "localstack"
    (folder / "state").mkdir(parents=True)
    (folder / "state" / "stale-cache").write_text("")
    async with EmbeddedLocalStack(folder) as server:
        assert not (folder / "state" / "stale-cache").exists()
        async with sqs(Aws(endpoint_url=server.endpoint_url)) as client:
            made = await client.create_queue(QueueName="any.fifo", Attributes={"FifoQueue": "true"})
        assert made["QueueUrl"].startswith(f"{server.endpoint_url}/")
        assert _answers("127.0.0.1", server.port)
        # On Linux 127.0.0.0/8 is this machine, so a server on all addresses would answer here.
        assert not _answers("127.0.0.2", server.port)
    assert not _answers("127.0.0.1", server.port)


async def test_a_missing_installation_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(localstack, "ENVIRONMENT", tmp_path / ".venv-localstack")
    with pytest.raises(EmbeddedServerFailed, match=r"not installed in .venv-localstack: run `make bootstrap`"):
        await EmbeddedLocalStack(tmp_path).start()


async def test_a_server_that_ends_at_once_is_reported_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "broken" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 'No component plugins found'\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(localstack, "ENVIRONMENT", tmp_path / "broken")
    with pytest.raises(EmbeddedServerFailed, match=r"(?s)LocalStack did not start.*No component plugins found"):
        async with EmbeddedLocalStack(tmp_path / "run"):
            pass


@pytest.mark.skipif(not PYTHON.exists(), reason="LocalStack has no virtual environment here")
def test_in_a_container_it_is_not_taken_for_its_own_image(tmp_path: Path) -> None:
    """Dev containers and CI images have the file by which LocalStack recognises its image."""
    command = EmbeddedLocalStack(port=1)._command(PYTHON, tmp_path)
    environments = ({"PATH": command.environment["PATH"]}, command.environment)
    answers = [
        subprocess.run(
            [str(PYTHON), "-c", IN_CONTAINER], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        for environment in environments
    ]
    assert answers == ["True", "False"]


def _answers(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0
