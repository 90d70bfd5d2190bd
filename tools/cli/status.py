"""`event-trio status`: the health of every service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import typer

from tools.cli import addresses, diagnosis
from tools.cli.addresses import Address
from tools.cli.formats import duration, plural
from tools.cli.options import AsJson
from tools.cli.outbox_views import failed_checks
from tools.cli.output import Output
from tools.cli.probe import PendingReplies, ProbeClient, ProbeReply, timeout_for

app = typer.Typer()

PATHS = ("/livez", "/readyz", "/metrics")
READY = "ready"

Replies = Mapping[str, ProbeReply | None]


@dataclass(frozen=True)
class ServiceHealth:
    """The health of one process.

    `unpublished` and `oldest_seconds` describe the outbox of a publisher, as of the last measurement (every 5 s).
    """

    service: str
    url: str
    state: str
    details: list[str]
    unpublished: int | None
    oldest_seconds: float | None


@app.command()
def status(json: AsJson = False) -> None:
    """Query the health of all services at once, and explain the problems of those that are not ready.

    Takes at most two seconds and needs no token. EVENT_TRIO_SERVICES declares the services as name=address, separated
    by commas; the relay of a service has its name with the suffix "-relay". Without the variable, the services of the
    project are queried at the addresses of the demo and of the containers. The numbers of unpublished events are up to
    5 seconds old. The exit status is 0 when all services are ready, else 1.
    """
    output = Output(as_json=json)
    services = query(addresses.load())
    healthy = all(service.state == READY for service in services)
    if json:
        output.json({"healthy": healthy, "services": [asdict(service) for service in services]})
    else:
        _show(output, services)
    if not healthy:
        raise typer.Exit(1)


def query(services: list[Address]) -> list[ServiceHealth]:
    """The health of each service, within two seconds."""
    client = ProbeClient()
    requests: dict[str, Callable[[], ProbeReply]] = {
        f"{service.name}{path}": client.request(service.url, path) for service in services for path in PATHS
    }
    pending = PendingReplies(requests, timeout_for(*(service.url for service in services)))
    replies = {name: pending.get(name) for name in requests}
    return [_health(service, services, replies) for service in services]


def _health(service: Address, services: list[Address], replies: Replies) -> ServiceHealth:
    reply = replies[f"{service.name}/metrics"]
    metrics = reply.metrics if reply else {}
    state, details = _state(service, services, replies)
    if service.is_relay and (held := int(metrics.get("outbox_held_groups") or 0)):
        groups = plural(held, "message group")
        details = [*details, f"{groups} held: ./event-trio outbox held --service {service.name}"]
    # The metrics of a relay describe the outbox of its publisher, which exposes them too.
    own = {} if service.is_relay else metrics
    unpublished = own.get("outbox_unpublished_events")
    return ServiceHealth(
        service=service.name,
        url=service.url,
        state=state,
        details=details,
        unpublished=None if unpublished is None else int(unpublished),
        oldest_seconds=own.get("outbox_oldest_unpublished_age_seconds"),
    )


def _state(service: Address, services: list[Address], replies: Replies) -> tuple[str, list[str]]:
    liveness, readiness = (replies[f"{service.name}{path}"] for path in ("/livez", "/readyz"))
    if liveness is None or liveness.response is None:
        publisher = addresses.publisher_of(service, services)
        outbox = replies.get(f"{publisher.name}/metrics") if publisher else None
        return "no answer", [diagnosis.explain_silence(service, liveness, outbox.metrics if outbox else {})]
    if readiness is None or readiness.response is None:
        return "slow", ["alive, but /readyz does not answer: the broker or the database may hang; see the log"]
    state = readiness.json.get("status")
    if not isinstance(state, str):
        code = readiness.response.status_code
        return "unknown", [f"/readyz answered {code}, which is not an answer of a service of this project"]
    return state.replace("_", " "), failed_checks(readiness.json)


def _show(output: Output, services: list[ServiceHealth]) -> None:
    rows = [
        (service.service, service.url, service.state,
         "" if service.unpublished is None else plural(service.unpublished, "event"),
         duration(service.oldest_seconds) if service.unpublished else "", "\n".join(service.details))
        for service in services
    ]  # fmt: skip
    output.table(("service", "address", "state", "unpublished", "oldest", "details"), rows)
