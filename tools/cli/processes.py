"""Clients of all declared processes at once; one that does not answer does not delay the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tools.cli import addresses, diagnosis
from tools.cli.addresses import VARIABLE, Address
from tools.cli.bearer import Bearer
from tools.cli.client import Answer, ApiClient
from tools.cli.errors import CommandFailed, NotFound, WrongService
from tools.cli.options import TOKEN_VARIABLE

T = TypeVar("T")
THREADS = 16


@dataclass(frozen=True)
class Process:
    """A declared process and the client of its API; `problem` says why it does not answer."""

    address: Address
    api: ApiClient
    problem: str | None = None
    failures: list[str] = field(default_factory=list)
    """The requests that failed."""

    @property
    def name(self) -> str:
        """Its declared name, such as `order-relay`."""
        return self.address.name or self.api.label

    def get(self, path: str, params: Mapping[str, object] | None = None) -> Answer | None:
        """Read a path; None if the process does not have it. A failure is kept in `failures`, and gives None, too."""
        return self._try(lambda: self.api.get(path, params))

    def list(self, path: str, params: Mapping[str, object], *, limit: int) -> list[dict[str, Any]]:
        """The items of a list; empty if the process does not have it, or after a failure, which is kept."""
        found = self._try(lambda: self.api.list(path, params, limit=limit))
        return list(found["items"]) if found else []

    def _try(self, call: Callable[[], Answer]) -> Answer | None:
        try:
            return call()
        except (NotFound, WrongService):
            return None
        except CommandFailed as failure:
            if str(failure) not in self.failures:
                self.failures.append(str(failure))
            return None


@contextmanager
def open_processes(token: str | None, notify: Callable[[str], None]) -> Iterator[list[Process]]:
    """Clients of every declared process; whether each answers is found out concurrently, in two seconds at most."""
    known = addresses.load()
    bearer = Bearer(token.strip(), TOKEN_VARIABLE) if token and token.strip() else None
    with ExitStack() as stack:
        healths = together(
            known, lambda address: diagnosis.check_process(address, addresses.publisher_of(address, known))
        )
        found = []
        for address, health in zip(known, healths, strict=True):
            api = ApiClient(address.url, bearer, hint=f"Set {VARIABLE}.", name=address.name, notify=notify)
            stack.callback(api.close)
            found.append(Process(address, api, health.problem))
        yield found


def together(items: Iterable[Any], call: Callable[[Any], T]) -> list[T]:
    """Call a function for each item concurrently; the results are in the order of the items."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(call, items))


def answering(processes: list[Process], *, relays: bool) -> list[Process]:
    """The relays, or the services, that answer."""
    return [each for each in processes if each.problem is None and each.address.is_relay is relays]


def failures_of(processes: list[Process]) -> list[str]:
    """A sentence for each process that does not answer, and for each request that failed."""
    silent = [f"{each.name}: {each.problem}" for each in processes if each.problem]
    return silent + [f"{each.name}: {failure}" for each in processes for failure in each.failures]
