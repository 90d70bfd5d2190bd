"""Judges the inbox of a consumer: dead letters, and deferred messages that do not run."""

from __future__ import annotations

from collections.abc import Iterable

from tools.cli.doctor.catalog import FoundProblem, problem
from tools.cli.doctor.observation import Observed
from tools.cli.formats import bounded_plural, timestamp


def judge_inbox(seen: Observed) -> Iterable[FoundProblem]:
    """The problems of the inbox of a service."""
    inbox = seen.inbox
    if inbox is None:
        return
    if inbox["dead"]["value"]:
        since = timestamp(inbox["oldest_dead_at"])
        yield problem("dead-letters", seen.name, f"{bounded_plural(inbox['dead'], 'dead letter')}, the oldest {since}")
    if late := inbox["first_overdue"]:
        what = (
            f"{bounded_plural(inbox['overdue'], 'deferred message')} overdue, first {late['event_id']} of group "
            f"{late['message_group']}, due {timestamp(late['due_at'])}"
        )
        if late["behind"]:
            what += f"; it waits for event {late['behind']}"
            remedy = "see what that event waits for, then redrive or discard it"
            command = f"./event-trio event show {late['behind']}"
        else:
            remedy = "run it now; if it stays, restart the service"
            command = f'./event-trio deferred run {late["event_id"]} --service {seen.name} --reason "..."'
        yield problem("deferred-overdue", seen.name, what, remedy=remedy, command=command)
