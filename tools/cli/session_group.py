"""Asks several services the same thing: one that does not answer keeps nobody from hearing the others."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import typer

from tools.cli import addresses, diagnosis
from tools.cli.errors import CommandFailed, WrongService
from tools.cli.output import Output
from tools.cli.session import Session, chosen_addresses, is_narrowed, open_session, reporting_errors

T = TypeVar("T")


class SessionGroup:
    """Sessions with those that answer, and what is wrong with the others."""

    def __init__(self, output: Output, sessions: list[Session], failures: list[str], *, narrowed: bool) -> None:
        self.output = output
        self.sessions = sessions
        self.narrowed = narrowed
        self._failures = failures
        self._alone = len(sessions) + len(failures) == 1

    @property
    def whom(self) -> str:
        """Who answered, for people."""
        return ", ".join(found.whom for found in self.sessions)

    def each(self, ask: Callable[[Session], T]) -> list[tuple[Session, T]]:
        """What each of them says; one that cannot be asked this is left out, one that fails is told at the end."""
        answers = []
        for found in self.sessions:
            try:
                answers.append((found, ask(found)))
            except WrongService as failure:
                if self._alone:
                    raise
                self.output.note(str(failure))
            except CommandFailed as failure:
                if self._alone:
                    raise
                self._failures.append(f"{found.whom}: {failure}")
        return answers

    def tell(self) -> None:
        """Tell who did not answer, and why."""
        for failure in self._failures:
            self.output.error(failure)

    def end(self) -> None:
        """The same; raises typer.Exit when somebody did not."""
        self.tell()
        if self._failures:
            raise typer.Exit(1)


@contextmanager
def open_sessions(context: typer.Context, url: str, token: str | None, as_json: bool) -> Iterator[SessionGroup]:
    """Sessions with all that the options mean, found alive at the same time."""
    chosen, known = chosen_addresses(context, url), addresses.declared()
    with reporting_errors(as_json) as output, ExitStack() as stack:
        with ThreadPoolExecutor(len(chosen)) as threads:
            healths = list(threads.map(lambda one: diagnosis.look(one, addresses.publisher_of(one, known)), chosen))
        sessions, failures = [], []
        for health in healths:
            try:
                sessions.append(
                    stack.enter_context(open_session(context, health.address, token, output, health=health))
                )
            except CommandFailed as failure:
                if len(chosen) == 1:
                    raise
                failures.append(str(failure))
        found = SessionGroup(output, sessions, failures, narrowed=is_narrowed(context))
        try:
            yield found
        except (CommandFailed, typer.Exit):
            found.tell()
            raise
        found.end()
