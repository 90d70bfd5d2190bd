"""The command `event-trio doctor`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import typer

from tools.cli.doctor.catalog import DIFFERENCES, FoundProblem
from tools.cli.doctor.checks_of_consumers import judge_inbox
from tools.cli.doctor.checks_of_outboxes import judge_outbox
from tools.cli.doctor.checks_of_processes import judge_agreement, judge_process, judge_publishers
from tools.cli.doctor.checks_of_topology import judge_topology
from tools.cli.doctor.observation import Observed, observe
from tools.cli.formats import plural
from tools.cli.options import AsJson, Token
from tools.cli.output import Output
from tools.cli.processes import open_processes
from tools.cli.session import reporting_errors

app = typer.Typer()


@app.command()
def doctor(token: Token = None, json: AsJson = False) -> None:
    """Look at everything, and say what is wrong, why it matters and what mends it.

    It examines the processes, their databases, migrations and rights, the topics, queues, policies and filters, the
    outboxes with their lanes and held groups, dead letters and deferred messages, clocks, versions and names. It
    changes nothing. The exit status is 0 when nothing is wrong, else 1. The run book explains each problem by its code.
    """
    with reporting_errors(json) as output, open_processes(token, output.note) as processes:
        seen = observe(processes)
        found = diagnose(seen)
        if json:
            output.json({"healthy": not found, "problems": [_as_object(each) for each in found]})
        else:
            _show(output, found)
            output.note(f"{plural(len(seen), 'process').replace('processs', 'processes')} examined")
        if found:
            raise typer.Exit(1)


def diagnose(all_seen: list[Observed]) -> list[FoundProblem]:
    """The problems of all processes: errors first, then warnings."""
    found = [problem for seen in all_seen for problem in _of_one(seen)]
    found += [*judge_publishers(all_seen), *judge_agreement(all_seen)]
    unique = {(each.code, each.process, each.what): each for each in found}
    return sorted(unique.values(), key=lambda each: each.kind.severity)


def _of_one(seen: Observed) -> list[FoundProblem]:
    judged = [*judge_process(seen)]
    outage = any(each.code == "broker-outage" for each in judged)
    judged += [each for each in judge_topology(seen) if not (outage and each.code == "broker-outage")]
    judged += judge_outbox(seen) if seen.is_relay else judge_inbox(seen)
    if any(each.code == "database-unavailable" for each in judged):
        # One cause, whatever number of calls it fails.
        judged = [each for each in judged if each.code != "no-details"]
    return [replace(each, command=seen.topology_check) if each.command == DIFFERENCES else each for each in judged]


def _show(output: Output, found: list[FoundProblem]) -> None:
    if not found:
        output.line("no problem was found")
    for number, each in enumerate(found):
        if number:
            output.line()
        output.line(f"{each.kind.severity}: {each.process}: {each.what} [{each.code}]")
        output.line(f"  why:    {each.kind.why}")
        output.line(f"  remedy: {each.remedy}")
        if each.command:
            output.line(f"  run:    {each.command}")


def _as_object(each: FoundProblem) -> dict[str, Any]:
    return {
        "code": each.code,
        "severity": each.kind.severity,
        "process": each.process,
        "what": each.what,
        "why": each.kind.why,
        "remedy": each.remedy,
        "command": each.command or None,
    }
