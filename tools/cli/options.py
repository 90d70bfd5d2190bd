"""The options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from tools.cli.addresses import VARIABLE

RELAY_URL = "http://127.0.0.1:8002"
RELAY_URL_VARIABLE = "EVENT_TRIO_RELAY_URL"
CONSUMER_URL = "http://127.0.0.1:8001"
CONSUMER_URL_VARIABLE = "EVENT_TRIO_CONSUMER_URL"
TOKEN_VARIABLE = "EVENT_TRIO_TOKEN"  # noqa: S105 - the name of a variable

# The service to query and the format of the answer.
RelayUrl = Annotated[
    str,
    typer.Option("--url", envvar=RELAY_URL_VARIABLE, help="URL of the relay.", show_default="that of order-relay"),
]
ConsumerUrl = Annotated[
    str,
    typer.Option(
        "--url", envvar=CONSUMER_URL_VARIABLE, help="URL of the service, or several, comma-separated.",
        show_default="all services",
    ),
]  # fmt: skip
Service = Annotated[
    str | None,
    typer.Option("--service", "-S", help=f"Name of the service, instead of --url; declared in {VARIABLE}."),
]
Token = Annotated[
    str | None, typer.Option("--token", envvar=TOKEN_VARIABLE, help="An operator's token.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the data as JSON.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="Maximum number of rows.")]

# Changes.
Reason = Annotated[
    str, typer.Option("--reason", "-r", help="Reason for the change, kept in the audit log.", show_default=False)
]
ShowReason = Annotated[
    str | None,
    typer.Option(
        "--reason",
        "-r",
        help="Show personal data; the audit log keeps your name and this reason. It is masked otherwise.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the relays have applied the change.")]

# The messages of a consumer that a command selects.
EventId = Annotated[
    str | None, typer.Argument(help="Id of the event. Without it, give a filter or --all.", show_default=False)
]
Type = Annotated[str | None, typer.Option("--type", help="Only events of this type.", show_default=False)]
Group = Annotated[str | None, typer.Option("--group", help="Only events of this message group.", show_default=False)]
Failure = Annotated[
    str | None, typer.Option("--failure", help="Only events with this failure reason.", show_default=False)
]
Fingerprint = Annotated[
    str | None,
    typer.Option("--fingerprint", help="Only events that failed alike; see `failures`.", show_default=False),
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Only from this time on: ISO 8601, or an age: 90m, 2h, 7d.", show_default=False),
]
Until = Annotated[str | None, typer.Option("--until", help="Only before this time.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Select all events.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be changed.")]
MaxEvents = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, help="Maximum number of events to change.", show_default=False)
]
