"""Says why a process does not answer, from what it and those beside it say."""

from dataclasses import dataclass

from tools.cli.addresses import Address
from tools.cli.output import duration, many
from tools.cli.probe import TIMEOUT_VARIABLE, PendingReplies, ProbeClient, ProbeReply, timeout_for


@dataclass(frozen=True)
class ProcessHealth:
    """How a process stands: what it calls itself, or why it does not answer."""

    address: Address
    name: str
    problem: str | None


def look(address: Address, publisher: Address | None) -> ProcessHealth:
    """Ask a process whether it lives, and the publisher of a relay meanwhile what it sees of it."""
    probes = ProbeClient()
    questions = {}
    for name, asked, path in (("alive", address, "/livez"), ("outbox", publisher, "/metrics")):
        if asked is not None:
            probes.prepare(asked.url)
            questions[name] = probes.question(asked.url, path)
    asked_now = PendingReplies(questions, timeout_for(address.url))
    alive = asked_now.answer("alive")
    if alive is not None and alive.response is not None:
        return ProcessHealth(address, alive.name or address.name, None)
    outbox = asked_now.answer("outbox") if publisher else None
    return ProcessHealth(address, address.name, silence(address, alive, outbox.metrics if outbox else {}))


def silence(address: Address, reply: ProbeReply | None, outbox: dict[str, float]) -> str:
    """Why nothing came, in a sentence; `outbox` is what the publisher of a relay shows of its outbox."""
    whom = title(address)
    heard = outbox.get("outbox_relay_heartbeat_age_seconds")
    last = f" (last heartbeat {duration(heard)} ago)" if heard is not None else ""
    if reply is not None and reply.refused:
        said = f"cannot reach {address.url}: nothing listens there; {whom}{last} is gone, or was not started"
    elif reply is not None and reply.failure and "timed out" not in reply.failure:
        said = f"cannot reach {address.url}{last}: {reply.failure}"
    else:
        said = (
            f"{whom} does not answer at {address.url}{last}: its process is stopped or gone, or takes longer than "
            f"{timeout_for(address.url):g} s to say that it lives ({TIMEOUT_VARIABLE})"
        )
    return "; ".join([said, *waiting(outbox)])


def waiting(outbox: dict[str, float]) -> list[str]:
    """How much waits, if something does."""
    events, age = outbox.get("outbox_unpublished_events", 0), outbox.get("outbox_oldest_unpublished_age_seconds", 0)
    if not events:
        return []
    return [f"{many(int(events), 'event')} {'waits' if events == 1 else 'wait'}, the oldest for {duration(age)}"]


def title(address: Address) -> str:
    """What people call it."""
    if not address.name:
        return "the service"
    return f"the relay of {address.domain}" if address.is_relay else f"the {address.name} service"
