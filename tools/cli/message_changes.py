"""Changes messages that were put aside, tells which, and follows them if it is asked to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

import typer

from tools.cli.batch_change import BatchChange
from tools.cli.client import Answer
from tools.cli.errors import CommandFailed, NotFound
from tools.cli.output import Output, many
from tools.cli.session import Session
from tools.cli.session_group import SessionGroup

LOOK_EVERY_SECONDS = 0.5
AT_ONCE = 100
"""Events that one question about their fate may name (the service's own bound)."""


@dataclass(frozen=True)
class MessageChange:
    """What is to be done with which, and where; `follow` says for how many seconds to look what comes of it."""

    verb: str
    body: Mapping[str, object]
    at: str = "/v1/dead-letters"
    thing: str = "dead letter"
    gone: str = "is no dead letter at {whom}: unknown, handled or discarded"
    follow: float | None = None

    def bulk(self, found: Session) -> BatchChange:
        """The change at one service."""
        return BatchChange(found, self.verb, self.body, at=self.at)


def change_all(asked: SessionGroup, change: MessageChange, *, dry_run: bool, yes: bool) -> None:
    """Do it at every service that has some that fit; raises CommandFailed, saying how far it came."""
    looked = asked.each(lambda found: change.bulk(found).look())
    if not looked:
        raise typer.Exit(1)
    answered = ", ".join(found.whom for found, _ in looked)
    fitting = [(found, items) for found, items in looked if items]
    if change.body["event_id"] is not None and not fitting:
        raise NotFound(f"{change.body['event_id']} {change.gone}".replace("{whom}", answered))
    if dry_run:
        _tell(asked.output, f"would {change.verb}", _named(fitting), change.thing, dry_run=True, whom=answered)
        return
    where = ", ".join(f"{many(len(items), change.thing)} at {found.whom}" for found, items in fitting)
    if len(fitting) > 1 and yes and not asked.narrowed:
        raise CommandFailed(f"{where}: say which with --service NAME, or --service all; nothing was changed")
    if fitting and not yes:
        _confirm(fitting[0][0], f"{change.verb} {where}?")
    done: list[tuple[Session, list[Answer]]] = []
    for found, items in fitting:
        bulk = change.bulk(found)
        done.append((found, bulk.done))
        try:
            _change(bulk, len(items))
        except CommandFailed:
            _tell(asked.output, change.verb, _named(done), change.thing)
            raise
    became = {found: _follow(found, items, change.follow) for found, items in done} if change.follow else {}
    named = _named(done)
    if became:
        fates = [became[found].get(item["event_id"]) for found, items in done for item in items]
        named = [{**item, "became": _fate(fate)} for item, fate in zip(named, fates, strict=True)]
    _tell(asked.output, change.verb, named, change.thing, whom=answered)
    if became:
        _judge(asked, named)


def change(found: Session, verb: str, body: Mapping[str, object], *, dry_run: bool, yes: bool) -> None:
    """The same at one service."""
    alone = SessionGroup(found.output, [found], [], narrowed=True)
    change_all(alone, MessageChange(verb, {"event_id": None, **body}), dry_run=dry_run, yes=yes)


def _change(bulk: BatchChange, total: int) -> None:
    try:
        bulk.change(total)
    except KeyboardInterrupt:
        raise CommandFailed(bulk.left(total)) from None
    except CommandFailed as failure:
        if not bulk.done:
            raise
        raise CommandFailed(f"{failure}; {bulk.left(total)}") from None


def _confirm(found: Session, question: str) -> None:
    answer = found.output.ask(question)
    if answer is None:
        raise CommandFailed("nobody answered, so nothing was changed; --yes does it without asking")
    if not answer:
        raise CommandFailed("nothing was changed")


def _follow(found: Session, items: Sequence[Answer], seconds: float) -> dict[str, Answer]:
    """What has become of each, as soon as all are handled or dead again, or the time is over."""
    open_ids = [item["event_id"] for item in items]
    fates: dict[str, Answer] = {}
    deadline = monotonic() + seconds
    with found.output.progress("waiting for their handlers") as progress:
        while open_ids:
            for start in range(0, len(open_ids), AT_ONCE):
                some = open_ids[start : start + AT_ONCE]
                for fate in found.api.get("/v1/message-states", {"event_id": some})["items"]:
                    fates[fate["event_id"]] = fate
            open_ids = [id for id in open_ids if fates.get(id, {}).get("state", "waiting") == "waiting"]
            progress.update(progress.task_ids[0], completed=1 - len(open_ids) / len(items))
            if monotonic() >= deadline:
                break
            if open_ids:
                sleep(LOOK_EVERY_SECONDS)
    return fates


def _fate(fate: Answer | None) -> str:
    if fate is None:
        return "unknown"
    said = "dead again" if fate["state"] == "dead" else fate["state"].replace("_", " ")
    return f"{said}: {fate['error']}" if fate["error"] and said != "waiting" else said


def _judge(asked: SessionGroup, items: Sequence[Mapping[str, Any]]) -> None:
    """Sum up what became of them; raises typer.Exit unless all came to an end."""
    ends = Counter(item["became"].partition(":")[0] for item in items)
    asked.output.note(", ".join(f"{number:,} {end}" for end, number in ends.items()))
    if {"dead again", "waiting", "unknown"} & ends.keys():
        raise typer.Exit(1)


def _named(done: Sequence[tuple[Session, Sequence[Answer]]]) -> list[Answer]:
    return [item for found, items in done for item in _name(found, items)]


def _name(found: Session, items: Sequence[Answer]) -> list[Answer]:
    return [{**item, "service": found.api.name or found.whom} for item in items]


def _tell(
    output: Output, done: str, items: Sequence[Answer], thing: str, *, dry_run: bool = False, whom: str = ""
) -> None:
    if output.as_json:
        output.json({"dry_run": dry_run, "items": items})
        return
    followed = any("became" in item for item in items)
    rows = [
        (item["event_id"], item["type"] or "", item["message_group"], item["service"])
        + ((item["became"],) if followed else ())
        for item in items
    ]
    if rows:
        output.table(("event", "type", "group", "service", *(("became",) if followed else ())), rows)
    output.note(f"{done}: {many(len(rows), thing)}{f' at {whom}' if whom and not rows else ''}")
