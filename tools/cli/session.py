"""What every command starts from: the options that all have, whom it asks, a client, a output, and how it ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from tools.cli import addresses, diagnosis
from tools.cli.addresses import Address
from tools.cli.bearer import Bearer
from tools.cli.client import ApiClient
from tools.cli.diagnosis import ProcessHealth
from tools.cli.errors import CommandFailed
from tools.cli.output import Output

RELAY_URL = "http://127.0.0.1:8002"
URL_VARIABLE = "EVENT_TRIO_RELAY_URL"
CONSUMER_URL = "http://127.0.0.1:8001"
CONSUMER_VARIABLE = "EVENT_TRIO_CONSUMER_URL"
TOKEN_VARIABLE = "EVENT_TRIO_TOKEN"  # noqa: S105 - the name of a variable

Url = Annotated[
    str, typer.Option("--url", envvar=URL_VARIABLE, help="The relay's address.", show_default="that of order-relay")
]
ConsumerUrl = Annotated[
    str,
    typer.Option(
        "--url", envvar=CONSUMER_VARIABLE, help="The service's address; commas part several.", show_default="all"
    ),
]
Service = Annotated[
    str | None,
    typer.Option(
        "--service", "-S", help=f"The service of that name, instead of an address; {addresses.VARIABLE} declares them."
    ),
]
Token = Annotated[
    str | None, typer.Option("--token", envvar=TOKEN_VARIABLE, help="An operator's token.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the data as JSON.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; the audit keeps it.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many at the most.")]


@dataclass(frozen=True)
class Session:
    """A client of the service that the options name, and the output to show on."""

    api: ApiClient
    output: Output

    @property
    def whom(self) -> str:
        """Who was asked, for people."""
        return self.api.whom

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is changed, unless `yes`; raises CommandFailed when the answer is no or nobody's."""
        if yes:
            return
        answer = self.output.ask(f"{self.whom}: {question}")
        if answer is None:
            raise CommandFailed("nobody answered, so nothing was changed; --yes does it without asking")
        if not answer:
            raise CommandFailed("nothing was changed")


@contextmanager
def session(context: typer.Context, url: str, token: str | None, as_json: bool) -> Iterator[Session]:
    """The session of one command; a failure in it is told on standard error and becomes exit status 1."""
    chosen = chosen_addresses(context, url)
    usual = next((address for address in chosen if address.url == url), chosen[0])
    with reporting_errors(as_json) as output, open_session(context, usual, token, output) as found:
        yield found


@contextmanager
def reporting_errors(as_json: bool) -> Iterator[Output]:
    """A output; a failure is told on it and becomes exit status 1."""
    output = Output(as_json=as_json)
    try:
        yield output
    except CommandFailed as failure:
        output.error(str(failure))
        raise typer.Exit(1) from None


@contextmanager
def open_session(
    context: typer.Context,
    address: Address,
    token: str | None,
    output: Output,
    *,
    health: ProcessHealth | None = None,
) -> Iterator[Session]:
    """A session with a process that lives; raises CommandFailed, saying why it does not, within two seconds."""
    source = TOKEN_VARIABLE if _source(context, "token") == "ENVIRONMENT" else "--token"
    bearer = Bearer(token.strip(), source) if token and token.strip() else None
    hint = f"Give --url or set {_variable(context)}."
    with ExitStack() as stack:
        api = ApiClient(address.url, bearer, url_option=hint, say=output.note)
        stack.callback(api.close)
        publisher = addresses.publisher_of(address, addresses.declared())
        known = health or diagnosis.look(address, publisher)
        if known.problem:
            raise CommandFailed(f"{known.problem}. {hint}")
        api.name = known.name
        yield Session(api, output)


def chosen_addresses(context: typer.Context, url: str) -> list[Address]:
    """Whom the options mean: --service, else --url or its variable (which may name several), else what is declared."""
    known = addresses.declared()
    service: str | None = context.params.get("service")
    given = _source(context, "url")
    if service and given == "COMMANDLINE":
        raise typer.BadParameter("give --service or --url, not both")
    relays = _variable(context) == URL_VARIABLE
    fitting = [address for address in known if address.is_relay == relays]
    if service and service != "all":
        return [addresses.find_by_name(service, fitting)]
    if not service and given in {"COMMANDLINE", "ENVIRONMENT"}:
        return [addresses.at(one, known) for one in addresses.split(url)] or fitting
    if not fitting:
        raise typer.BadParameter(f"{addresses.VARIABLE} declares no {'relay' if relays else 'service'}")
    return fitting


def is_narrowed(context: typer.Context) -> bool:
    """Whether the options say whom to ask."""
    return bool(context.params.get("service")) or _source(context, "url") in {"COMMANDLINE", "ENVIRONMENT"}


def _variable(context: typer.Context) -> str:
    """The variable that stands for --url, which tells relays from services that consume."""
    for parameter in context.command.params:
        if parameter.name == "url" and isinstance(parameter.envvar, str):
            return parameter.envvar
    return URL_VARIABLE


def _source(context: typer.Context, name: str) -> str | None:
    source = context.get_parameter_source(name)
    return source.name if source is not None else None
