"""`event-trio status`: how every service stands, at one look."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import typer

from tools.cli import addresses, diagnosis
from tools.cli.addresses import Address
from tools.cli.outbox_views import failing
from tools.cli.output import Output, duration, many
from tools.cli.probe import PendingReplies, ProbeClient, ProbeReply, timeout_for
from tools.cli.session import AsJson

app = typer.Typer()

PATHS = ("/livez", "/readyz", "/metrics")
READY = "ready"


@dataclass(frozen=True)
class ServiceStatus:
    """What is known of one process. `unpublished` and `oldest_seconds` are its own outbox's, if it has one."""

    service: str
    url: str
    state: str
    says: list[str]
    unpublished: int | None
    oldest_seconds: float | None


@app.command()
def status(json: AsJson = False) -> None:
    """Ask all services at once how they are, and say what is the matter with those that are not well.

    Takes two seconds at the most, whoever does not answer, and needs no token. EVENT_TRIO_SERVICES says which services
    there are: name=address, parted by commas; a relay is called like its publisher with "-relay" behind it. Without it
    those that the project declares are asked, where the demo and the containers have them. The exit status is 0 when
    all are ready, else 1.
    """
    output = Output(as_json=json)
    rows = ask(addresses.declared())
    well = all(row.state == READY for row in rows)
    if json:
        output.json({"well": well, "services": [asdict(row) for row in rows]})
    else:
        _show(output, rows)
    if not well:
        raise typer.Exit(1)


def ask(services: list[Address]) -> list[ServiceStatus]:
    """How each of them stands, in two seconds at the most."""
    probes = ProbeClient()
    questions: dict[str, Callable[[], ProbeReply]] = {}
    for service in services:
        probes.prepare(service.url)
        questions |= {f"{service.name}{path}": probes.question(service.url, path) for path in PATHS}
    asked = PendingReplies(questions, timeout_for(*(service.url for service in services)))
    replies = {name: asked.answer(name) for name in questions}
    return [_row(service, services, replies) for service in services]


def _row(service: Address, services: list[Address], replies: dict[str, ProbeReply | None]) -> ServiceStatus:
    alive, readiness, metrics = (replies[f"{service.name}{path}"] for path in PATHS)
    # What a relay measures is the outbox of its publisher, which shows it, too.
    figures = metrics.metrics if metrics and not service.is_relay else {}
    events = figures.get("outbox_unpublished_events")
    state, says = _state(service, services, alive, readiness, replies)
    if service.is_relay and metrics and (held := int(metrics.metrics.get("outbox_held_groups") or 0)):
        wait = "waits" if held == 1 else "wait"
        says = [*says, f"{many(held, 'group')} {wait} for a person: ./event-trio outbox held --service {service.name}"]
    return ServiceStatus(
        service=service.name,
        url=service.url,
        unpublished=None if events is None else int(events),
        oldest_seconds=figures.get("outbox_oldest_unpublished_age_seconds"),
        state=state,
        says=says,
    )


def _state(
    service: Address,
    services: list[Address],
    alive: ProbeReply | None,
    readiness: ProbeReply | None,
    replies: dict[str, ProbeReply | None],
) -> tuple[str, list[str]]:
    if alive is None or alive.response is None:
        publisher = addresses.publisher_of(service, services)
        outbox = replies.get(f"{publisher.name}/metrics") if publisher else None
        said = diagnosis.silence(service, alive, outbox.metrics if outbox else {})
        return "no answer", [said]
    if readiness is None or readiness.response is None:
        return "slow", ["it lives, and its /readyz takes long: the broker or the database may hang, see its log"]
    state = readiness.json.get("status")
    if not isinstance(state, str):
        answered = readiness.response.status_code
        return "stranger", [f"its /readyz answers {answered}, as no service of this project would"]
    return state.replace("_", " "), failing(readiness.json)


def _show(output: Output, rows: list[ServiceStatus]) -> None:
    shown = [
        (row.service, row.url, row.state, "" if row.unpublished is None else many(row.unpublished, "event"),
         duration(row.oldest_seconds) if row.unpublished else "", "\n".join(row.says))
        for row in rows
    ]  # fmt: skip
    output.table(("service", "address", "state", "unpublished", "oldest", "says"), shown)
