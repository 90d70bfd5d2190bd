"""Opens a connection to the service that the options select, and turns failures into exit status 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import typer

from tools.cli import addresses, diagnosis
from tools.cli.addresses import Address
from tools.cli.bearer import Bearer
from tools.cli.client import ApiClient
from tools.cli.diagnosis import ProcessHealth
from tools.cli.errors import CommandFailed
from tools.cli.options import RELAY_URL_VARIABLE, TOKEN_VARIABLE
from tools.cli.output import Output


@dataclass(frozen=True)
class Session:
    """A client of one service, and the output of the command."""

    api: ApiClient
    output: Output

    @property
    def label(self) -> str:
        """The name and the URL of the service."""
        return self.api.label

    @property
    def service(self) -> str:
        """The name of the service; its URL when it did not send one."""
        return self.api.name or self.api.label

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before a change, unless `yes`. Raises CommandFailed when it is not confirmed."""
        if not yes:
            ensure_confirmed(self.output, f"{self.label}: {question}")


def ensure_confirmed(output: Output, question: str) -> None:
    """Ask a question. Raises CommandFailed unless the answer is yes."""
    answer = output.ask(question)
    if answer is None:
        raise CommandFailed("no confirmation was given, so nothing was changed; --yes skips the question")
    if not answer:
        raise CommandFailed("nothing was changed")


@contextmanager
def relay_session(context: typer.Context, url: str, token: str | None, as_json: bool) -> Iterator[Session]:
    """Open the session of a command that uses one relay; a failure is printed and ends it with exit status 1."""
    selected = selected_addresses(context, url)
    address = next((address for address in selected if address.url == url), selected[0])
    with reporting_errors(as_json) as output, open_session(context, address, token, output) as session:
        yield session


@contextmanager
def reporting_errors(as_json: bool) -> Iterator[Output]:
    """Create the output; print a CommandFailed on it and exit with status 1."""
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
    """Open a session with a process that answers.

    Raises CommandFailed within two seconds, with the cause, when it does not.
    """
    source = TOKEN_VARIABLE if _source(context, "token") == "ENVIRONMENT" else "--token"
    bearer = Bearer(token.strip(), source) if token and token.strip() else None
    hint = f"Give --url or set {_url_variable(context)}."
    with ExitStack() as stack:
        api = ApiClient(address.url, bearer, hint=hint, notify=output.note)
        stack.callback(api.close)
        health = health or diagnosis.check_process(address, addresses.publisher_of(address, addresses.load()))
        if health.problem:
            raise CommandFailed(f"{health.problem}. {hint}")
        api.name = health.name
        yield Session(api, output)


def selected_addresses(context: typer.Context, url: str) -> list[Address]:
    """The addresses that the options select: --service, else --url or its variable, else all declared ones."""
    known = addresses.load()
    service: str | None = context.params.get("service")
    source = _source(context, "url")
    if service and source == "COMMANDLINE":
        raise typer.BadParameter("give --service or --url, not both")
    relays = _url_variable(context) == RELAY_URL_VARIABLE
    candidates = [address for address in known if address.is_relay == relays]
    if service and service != "all":
        return [addresses.find_by_name(service, candidates)]
    if not service and source in {"COMMANDLINE", "ENVIRONMENT"}:
        return [addresses.find_by_url(each, known) for each in addresses.split(url)] or candidates
    if not candidates:
        raise typer.BadParameter(f"{addresses.VARIABLE} declares no {'relay' if relays else 'service'}")
    return candidates


def is_selection_explicit(context: typer.Context) -> bool:
    """Whether --service, --url or the variable of --url was given."""
    return bool(context.params.get("service")) or _source(context, "url") in {"COMMANDLINE", "ENVIRONMENT"}


def _url_variable(context: typer.Context) -> str:
    """The variable of --url, which differs for relays and for consumers."""
    for parameter in context.command.params:
        if parameter.name == "url" and isinstance(parameter.envvar, str):
            return parameter.envvar
    return RELAY_URL_VARIABLE


def _source(context: typer.Context, name: str) -> str | None:
    source = context.get_parameter_source(name)
    return source.name if source is not None else None
