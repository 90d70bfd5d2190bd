"""Explains why a process does not answer, from its reply and from the metrics of its publisher."""

from __future__ import annotations

from dataclasses import dataclass

from tools.cli.addresses import Address
from tools.cli.formats import duration, plural
from tools.cli.probe import TIMEOUT_VARIABLE, PendingReplies, ProbeClient, ProbeReply, timeout_for


@dataclass(frozen=True)
class ProcessHealth:
    """The name of a process, and the problem if it does not answer."""

    address: Address
    name: str
    problem: str | None


def check_process(address: Address, publisher: Address | None) -> ProcessHealth:
    """Query /livez of a process and, at the same time, /metrics of the publisher of a relay."""
    client = ProbeClient()
    requests = {"liveness": client.request(address.url, "/livez")}
    if publisher is not None:
        requests["outbox"] = client.request(publisher.url, "/metrics")
    pending = PendingReplies(requests, timeout_for(address.url))
    liveness = pending.get("liveness")
    if liveness is not None and liveness.response is not None:
        return ProcessHealth(address, liveness.service or address.name, None)
    outbox = pending.get("outbox") if publisher else None
    return ProcessHealth(address, address.name, explain_silence(address, liveness, outbox.metrics if outbox else {}))


def explain_silence(address: Address, reply: ProbeReply | None, outbox: dict[str, float]) -> str:
    """Why a process did not answer; `outbox` are the metrics that the publisher of a relay exposes."""
    process = display_name(address)
    heartbeat = outbox.get("outbox_relay_heartbeat_age_seconds")
    last = f" (last heartbeat {duration(heartbeat)} ago)" if heartbeat is not None else ""
    if reply is not None and reply.refused:
        cause = f"cannot reach {address.url}: connection refused; {process}{last} is not running"
    elif reply is not None and reply.failure and "timed out" not in reply.failure:
        cause = f"cannot reach {address.url}{last}: {reply.failure}"
    else:
        cause = (
            f"{process} does not answer at {address.url}{last}: it is suspended, overloaded or gone "
            f"(no reply within {timeout_for(address.url):g} s; {TIMEOUT_VARIABLE} sets the timeout)"
        )
    return "; ".join([cause, *_backlog(outbox)])


def display_name(address: Address) -> str:
    """The name of a process in a sentence."""
    if not address.name:
        return "the service"
    return f"the relay of {address.domain}" if address.is_relay else f"the {address.name} service"


def _backlog(outbox: dict[str, float]) -> list[str]:
    events, age = outbox.get("outbox_unpublished_events", 0), outbox.get("outbox_oldest_unpublished_age_seconds", 0)
    if not events:
        return []
    return [f"{plural(int(events), 'unpublished event')}, the oldest {duration(age)} old"]
