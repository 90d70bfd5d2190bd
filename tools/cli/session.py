"""What every command starts from: the options that all have, a client, a screen, and how it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from tools.cli.bearer import Bearer
from tools.cli.client import ApiClient
from tools.cli.errors import CommandFailed
from tools.cli.screen import Screen

RELAY_URL = "http://127.0.0.1:8002"
URL_VARIABLE = "EVENT_TRIO_RELAY_URL"
TOKEN_VARIABLE = "EVENT_TRIO_TOKEN"  # noqa: S105 - the name of a variable

Url = Annotated[str, typer.Option("--url", envvar=URL_VARIABLE, help="The relay's address (8003: notifications).")]
Token = Annotated[
    str | None, typer.Option("--token", envvar=TOKEN_VARIABLE, help="An operator's token.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the data as JSON.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; the audit keeps it.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at the most.")]


@dataclass(frozen=True)
class Session:
    """A client of the service that the options name, and the screen to show on."""

    api: ApiClient
    screen: Screen

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is changed, unless `yes`; raises CommandFailed when the answer is no or nobody's."""
        if yes:
            return
        answer = self.screen.ask(question)
        if answer is None:
            raise CommandFailed("nobody answered, so nothing was changed; --yes does it without asking")
        if not answer:
            raise CommandFailed("nothing was changed")


@contextmanager
def session(context: typer.Context, url: str, token: str | None, as_json: bool) -> Iterator[Session]:
    """The session of one command; a failure in it is told on standard error and becomes exit status 1."""
    screen = Screen(as_json=as_json)
    try:
        source = context.get_parameter_source("token")
        from_variable = source is not None and source.name == "ENVIRONMENT"
        bearer = (
            Bearer(token.strip(), TOKEN_VARIABLE if from_variable else "--token") if token and token.strip() else None
        )
        api = ApiClient(url, bearer, url_option=f"Give --url or set {URL_VARIABLE}.")
        try:
            yield Session(api, screen)
        finally:
            api.close()
    except CommandFailed as failure:
        screen.error(str(failure))
        raise typer.Exit(1) from None
