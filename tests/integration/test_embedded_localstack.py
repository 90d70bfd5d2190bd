"""The embedded LocalStack listens on the loopback only and has the services that the templates need."""

import socket
from pathlib import Path

import pytest

from event_trio.broker.aws import Aws, sqs
from tools.embedded import localstack, service_catalog
from tools.embedded.errors import EmbeddedServerFailed
from tools.embedded.localstack import EmbeddedLocalStack


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
    # What the next start need not build again.
    kept = sorted((localstack.ENVIRONMENT / "service-catalog").glob(service_catalog.NAMES))
    assert [path.name for path in kept] == [
        path.name for path in (folder / "state" / service_catalog.CACHE).glob(service_catalog.NAMES)
    ]


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


def _answers(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0
