"""`event-trio token`: a token for services on one's own machine."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tools.cli.errors import CommandFailed
from tools.cli.output import Output
from tools.cli.session import TOKEN_VARIABLE, AsJson

FOLDER = Path(__file__).parents[2] / ".run" / "auth"
LONGEST_HOURS = 24.0 * 365

app = typer.Typer()


class RoleName(StrEnum):
    """The roles that services know."""

    CUSTOMER = "customer"
    OPERATOR = "operator"
    SERVICE = "service"


Subject = Annotated[str, typer.Option("--subject", "-s", help="Who it is for; of a customer, the customer's id.")]
Roles = Annotated[list[RoleName], typer.Option("--role", "-r", help="What it allows; may be given more than once.")]
Hours = Annotated[float, typer.Option("--hours", min=0.01, max=LONGEST_HOURS, help="How long it is good.")]
Folder = Annotated[Path, typer.Option("--keys", help="The folder of the key and the key set.")]
IssuerName = Annotated[str, typer.Option("--issuer", envvar="AUTH_ISSUER", help="What AUTH_ISSUER of services is.")]
Audience = Annotated[str, typer.Option("--audience", envvar="AUTH_AUDIENCE", help="What AUTH_AUDIENCE is.")]


@app.command(name="token")
def mint(
    subject: Subject = "local",
    roles: Roles = [RoleName.OPERATOR],  # noqa: B006 - Typer takes it as the default, nobody changes it
    hours: Hours = 12.0,
    keys: Folder = FOLDER,
    issuer: IssuerName = "event-trio-local",
    audience: Audience = "event-trio",
    as_json: AsJson = False,
) -> None:
    """Make a token for services on this machine, and the key set that they check it with.

    The token goes to standard output, what services need to be told to standard error. Services that were started
    with this key set take it; nobody else does.
    """
    # Cryptography takes longer to import than all the rest, and no other command needs it.
    from event_trio.http.tokens import Role
    from tools.cli.local_issuer import LocalIssuer

    output = Output(as_json=as_json)
    local = LocalIssuer(keys.resolve(), issuer, audience)
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)
    try:
        token = local.mint(subject, [Role(role) for role in roles], expires_at=expires_at)
    except CommandFailed as failure:
        output.error(str(failure))
        raise typer.Exit(1) from None
    services = {"AUTH_JWKS": str(local.key_set), "AUTH_ISSUER": issuer, "AUTH_AUDIENCE": audience}
    if as_json:
        output.json(
            {
                "token": token,
                "subject": subject,
                "roles": roles,
                "expires_at": expires_at.isoformat(),
                "services": services,
            }
        )
        return
    output.line(token)
    output.note("Services take it that are started with")
    for name, value in services.items():
        output.note(f"  {name}={value}")
    output.note(f"For the commands of event-trio: export {TOKEN_VARIABLE}=$(./event-trio token)")
