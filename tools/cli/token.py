"""`event-trio token`: creates a token for services on this machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tools.cli.errors import CommandFailed
from tools.cli.options import TOKEN_VARIABLE, AsJson
from tools.cli.output import Output

FOLDER = Path(__file__).parents[2] / ".run" / "auth"
LONGEST_HOURS = 24.0 * 365

app = typer.Typer()


class RoleName(StrEnum):
    """The roles that a token can grant."""

    CUSTOMER = "customer"
    READER = "reader"
    OPERATOR = "operator"
    SERVICE = "service"


Subject = Annotated[str, typer.Option("--subject", "-s", help="Subject of the token, such as the id of a customer.")]
Roles = Annotated[list[RoleName], typer.Option("--role", "-r", help="Role that the token grants; may be repeated.")]
Hours = Annotated[float, typer.Option("--hours", min=0.01, max=LONGEST_HOURS, help="Lifetime in hours.")]
Folder = Annotated[Path, typer.Option("--keys", help="Folder of the key and the key set.")]
IssuerName = Annotated[str, typer.Option("--issuer", envvar="AUTH_ISSUER", help="AUTH_ISSUER of the services.")]
Audience = Annotated[str, typer.Option("--audience", envvar="AUTH_AUDIENCE", help="AUTH_AUDIENCE of the services.")]


@app.command(name="token")
def mint(
    subject: Subject = "local",
    roles: Roles = [RoleName.OPERATOR],  # noqa: B006 - the default of the option, never modified
    hours: Hours = 12.0,
    keys: Folder = FOLDER,
    issuer: IssuerName = "event-trio-local",
    audience: Audience = "event-trio",
    as_json: AsJson = False,
) -> None:
    """Create a token for services on this machine, and the key set with which they verify it.

    The token is written to standard output, the settings of the services to standard error. Only services that were
    started with this key set accept the token.
    """
    # The cryptography package takes longer to import than everything else, and no other command needs it.
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
    output.note("Start the services with these settings:")
    for name, value in services.items():
        output.note(f"  {name}={value}")
    output.note(f"For the commands of event-trio: export {TOKEN_VARIABLE}=$(./event-trio token)")
