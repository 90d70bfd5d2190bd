"""Which servers tests run against, and that the road through containers cannot break unseen where it is asked for."""

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
    """Stands in for both of the embedded servers."""

    admin_url = endpoint_url = "embedded"

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_container_is_used_where_docker_answers(
    server: Callable[[servers.Notice], object], start: str, required: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(containers.REQUIRED, required)
    monkeypatch.setattr(containers, "available", lambda: True)
    monkeypatch.setattr(containers, start, container)
    assert used(server, []) == "container"


@KINDS
@pytest.mark.parametrize(("docker", "noted"), [(False, 0), (True, 1)])
@pytest.mark.parametrize("required", ["", "0"])
def test_without_containers_the_embedded_servers_do(
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
@pytest.mark.parametrize(("docker", "said"), [(False, "no Docker daemon answers"), (True, "no such image")])
def test_where_containers_are_required_nothing_else_does(
    server: Callable[[servers.Notice], object], start: str, docker: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(containers.REQUIRED, "1")
    monkeypatch.setattr(containers, "available", lambda: docker)
    monkeypatch.setattr(containers, start, no_image)
    with pytest.raises(ContainersMissing, match=f"TEST_REQUIRE_CONTAINERS is set.*{said}"):
        used(server, [])


def test_a_server_that_is_given_is_no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(containers.REQUIRED, "1")
    monkeypatch.setenv(servers.DATABASE_VARIABLE, "postgresql://postgres@127.0.0.1/postgres")
    with pytest.raises(pytest.UsageError, match="unset the one that is not meant"):
        used(servers.postgres_server, [])
