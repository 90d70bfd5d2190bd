"""Checks that no change breaks a published event: `python -m tools.catalog.check`. `--record` records a release."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from textwrap import fill

from event_trio import __version__
from event_trio.contracts.schema import IncompleteDeclaration
from tools.catalog import released
from tools.catalog.compatibility import ENVELOPE, BrokenEvent, broken_envelope, broken_events
from tools.catalog.contracts import declared_events

WIDTH, INDENT = 110, " " * 4
PAGE = "docs/how-to/change-an-event.md"
ADVICE = """
How to do it right: leave version {version} as it is, and declare version {next} beside it in {module}:
a class with `type = "{type}"` and `version: ClassVar[int] = {next}`. First let every consumer handle both
versions and deploy it, and only then let the publisher record the new one. A field may be added at once if it
is optional. {page} has each step.
"""
REMOVAL = """
How to do it right: bring the class back with `deprecated: ClassVar[bool] = True`, and publish it no longer. The
next release after that may remove it, when outboxes, queues and dead letters hold no event of it. {page}
has each step.
"""
ENVELOPE_ADVICE = """
How to do it right: keep the attributes as they are, and add only optional ones. The envelope has no version, so
every service of both releases has to read it. {page} has the rules.
"""


def run(arguments: Sequence[str] | None = None) -> int:
    """The command. Its status is 0, 1 if a change breaks a published event, or 2 after a usage error."""
    parser = argparse.ArgumentParser(prog="python -m tools.catalog.check", description=__doc__)
    parser.add_argument("--record", action="store_true", help="record the events of this release as published")
    options = parser.parse_args(arguments)
    try:
        broken = [*broken_envelope(released.load_envelope()), *broken_events(released.load(), declared_events())]
    except IncompleteDeclaration as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for event in broken:
        print(message(event), file=sys.stderr)
    if broken:
        return 1
    if options.record:
        for path in released.record(declared_events(), __version__):
            print(path.relative_to(released.FOLDER.parents[3]))
    return 0


def message(event: BrokenEvent) -> str:
    """What broke, what it does to whom, and how to do it right."""
    type, _, version = event.name.rpartition("/")
    subject = f"version {version} of {type}" if event.name != ENVELOPE else "the envelope of all events"
    lines = [f"error: {subject} is published (release {event.release}), and this change breaks it."]
    for found in event.breaks:
        lines += ["", f"  {f'`{found.path}` ' if found.path else f'{type} '}{found.change}."]
        for effect in found.effects:
            lines.append(
                fill(f"{effect[0].upper()}{effect[1:]}.", WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
            )
    if event.name == ENVELOPE:
        return "\n".join(lines) + "\n" + ENVELOPE_ADVICE.format(page=PAGE)
    advice = ADVICE if event.module else REMOVAL
    facts = {"type": type, "version": version, "next": int(version) + 1, "module": event.module, "page": PAGE}
    return "\n".join(lines) + "\n" + advice.format(**facts)


if __name__ == "__main__":
    raise SystemExit(run())
