"""Which servers the tests use, and that required containers are not replaced by embedded servers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support import containers, servers
from tests.support.containers import ContainersMissing

Start = Callable[[], object]
KINDS = pytest.mark.parametrize(
    ("server", "start"),
    [(servers.postgres_server, "start_postgres"), (servers.localstack_server, "start_localstack")],
)


class Embedded:
    """Replaces both embedded servers."""

    admin_url = endpoint_url = "embedded"

    def __init__(self, **settings: object) -> None:
        """Any settings will do."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (servers.DATABASE_VARIABLE, servers.AWS_VARIABLE, containers.REQUIRED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(servers, "EmbeddedPostgres", Embedded)
    monkeypatch.setattr(servers, "EmbeddedLocalStack", Embedded)


def used(server: Callable[[servers.Notice], object], notes: list[str]) -> str:
    with server(notes.append) as found:  # type: ignore[attr-defined]
        return str(getattr(found, "admin_url", found))


def no_image() -> object:
    raise OSError("no such image")


@contextmanager
def container() -> Iterator[str]:
    yield "container"


@KINDS
@pytest.mark.parametrize("required", ["", "1"])
def test_a_container_is_used_when_docker_answers(
    server: Callable[[servers.Notice], object], start: str, required: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(containers.REQUIRED, required)
    monkeypatch.setattr(containers, "available", lambda: True)
    monkeypatch.setattr(containers, start, container)
    assert used(server, []) == "container"


@KINDS
@pytest.mark.parametrize(("docker", "noted"), [(False, 0), (True, 1)])
@pytest.mark.parametrize("required", ["", "0"])
def test_embedded_servers_are_used_without_containers(
    server: Callable[[servers.Notice], object],
    start: str,
    docker: bool,
    noted: int,
    required: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(containers.REQUIRED, required)
    monkeypatch.setattr(containers, "available", lambda: docker)
    monkeypatch.setattr(containers, start, no_image)
    notes: list[str] = []
    assert used(server, notes) == "embedded"
    assert len(notes) == noted


@KINDS
@pytest.mark.parametrize(("docker", "message"), [(False, "no Docker daemon answers"), (True, "no such image")])
def test_required_containers_are_not_replaced(
    server: Callable[[servers.Notice], object], start: str, docker: bool, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(containers.REQUIRED, "1")
    monkeypatch.setattr(containers, "available", lambda: docker)
    monkeypatch.setattr(containers, start, no_image)
    with pytest.raises(ContainersMissing, match=f"TEST_REQUIRE_CONTAINERS is set.*{message}"):
        used(server, [])


def test_a_given_server_is_rejected_when_containers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(containers.REQUIRED, "1")
    monkeypatch.setenv(servers.DATABASE_VARIABLE, "postgresql://postgres@127.0.0.1/postgres")
    with pytest.raises(pytest.UsageError, match="unset one of them"):
        used(servers.postgres_server, [])
