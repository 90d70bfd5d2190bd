"""Sessions with several services: a service that does not answer does not prevent the others from being queried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import typer

from tools.cli import addresses, diagnosis
from tools.cli.errors import CommandFailed, WrongService
from tools.cli.output import Output
from tools.cli.session import Session, is_selection_explicit, open_session, reporting_errors, selected_addresses

T = TypeVar("T")


class SessionGroup:
    """The sessions with the services that answer, and the failures of the others.

    `explicit` says whether the user selected the services.
    """

    def __init__(self, output: Output, sessions: list[Session], failures: list[str], *, explicit: bool) -> None:
        self.output = output
        self.explicit = explicit
        self._sessions = sessions
        self._failures = failures
        self._is_single = len(sessions) + len(failures) == 1

    def each(self, call: Callable[[Session], T]) -> list[tuple[Session, T]]:
        """Call the function for each session.

        With several services, one that lacks the route is skipped with a remark, and a failure is reported at the end.
        """
        results: list[tuple[Session, T]] = []
        for session in self._sessions:
            try:
                results.append((session, call(session)))
            except WrongService as failure:
                if self._is_single:
                    raise
                self.output.note(str(failure))
            except CommandFailed as failure:
                if self._is_single:
                    raise
                self._failures.append(f"{session.label}: {failure}")
        return results

    def report_failures(self) -> None:
        """Print the failure of each service that failed."""
        for failure in self._failures:
            self.output.error(failure)

    def finish(self) -> None:
        """Print the failures. Raises typer.Exit when there are any."""
        self.report_failures()
        if self._failures:
            raise typer.Exit(1)


@contextmanager
def open_sessions(context: typer.Context, url: str, token: str | None, as_json: bool) -> Iterator[SessionGroup]:
    """Open sessions with all services that the options select; their health is checked concurrently."""
    selected, known = selected_addresses(context, url), addresses.load()
    with reporting_errors(as_json) as output, ExitStack() as stack:
        with ThreadPoolExecutor(len(selected)) as threads:
            healths = list(
                threads.map(
                    lambda address: diagnosis.check_process(address, addresses.publisher_of(address, known)), selected
                )
            )
        sessions, failures = [], []
        for health in healths:
            try:
                sessions.append(
                    stack.enter_context(open_session(context, health.address, token, output, health=health))
                )
            except CommandFailed as failure:
                if len(selected) == 1:
                    raise
                failures.append(str(failure))
        group = SessionGroup(output, sessions, failures, explicit=is_selection_explicit(context))
        try:
            yield group
        except (CommandFailed, typer.Exit):
            group.report_failures()
            raise
        group.finish()
