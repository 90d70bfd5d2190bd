"""The relay's command: `event-trio-relay`, or `python -m services.relay` in this repository."""

from __future__ import annotations

import argparse

from pydantic.fields import FieldInfo

from event_trio import __version__

from . import slot_command
from .main import run
from .settings import RelaySettings

DESCRIPTION = """
Carries the events of one outbox to one SNS FIFO topic, in order. Any number of relays may share an outbox. It runs
until SIGTERM, waits for what is down, and serves its operations API, metrics and readiness under HTTP_PORT.
"""


def command() -> None:
    """Serve until asked to stop, or create or drop the slot; the settings are environment variables."""
    parser = argparse.ArgumentParser(
        prog="event-trio-relay",
        description=DESCRIPTION,
        epilog=_settings(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="")
    create_slot = commands.add_parser("create-slot", help="create the replication slot for SOURCE=wal")
    create_slot.add_argument("--failover", action="store_true", help="let standbys copy it (Postgres 17 and newer)")
    commands.add_parser("drop-slot", help="drop the replication slot, and the log that is kept for it")
    given = parser.parse_args()
    if given.command == "create-slot":
        slot_command.create(failover=given.failover)
    elif given.command == "drop-slot":
        slot_command.drop()
    else:
        run()


def _settings() -> str:
    """The environment variables, for --help."""
    lines = [f"  {name.upper()}{_default(field)}\n      {field.description}" for name, field in _fields()]
    return "\n".join(["Settings are environment variables:", *lines])


def _fields() -> list[tuple[str, FieldInfo]]:
    """Those that have to be set first."""
    return sorted(RelaySettings.model_fields.items(), key=lambda item: not item[1].is_required())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return " (required)"
    default = getattr(field.default, "value", field.default)
    return "" if default in (None, "") else f" (default: {default})"


if __name__ == "__main__":
    command()
