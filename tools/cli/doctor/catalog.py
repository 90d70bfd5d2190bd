"""Every problem that doctor can find: why it matters, and the command that mends it. The run book lists them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class ProblemDescription:
    """A kind of problem. `{names}` in the remedy are given with each problem; all know `{process}`."""

    severity: Severity
    why: str
    remedy: str


@dataclass(frozen=True)
class FoundProblem:
    """A problem of one process, and the command or the change that mends it."""

    code: str
    process: str
    what: str
    remedy: str

    @property
    def kind(self) -> ProblemDescription:
        """The description of its kind."""
        return KINDS[self.code]


def problem(code: str, process: str, what: str, **values: str) -> FoundProblem:
    """A problem of a known kind; raises KeyError for an unknown code, or when its remedy needs another value."""
    return FoundProblem(code, process, what, KINDS[code].remedy.format(process=process, **values))


START = "start it (make demo RESTART=1, docker compose up -d {process}, or your platform); its log has the cause"
DEPLOY = "python -m infra.deploy deploys the templates again; make topology-check shows each difference"
ERROR: Severity = "error"
WARNING: Severity = "warning"

KINDS: Mapping[str, ProblemDescription] = {
    # Processes
    "relay-down": ProblemDescription(
        ERROR, "events are recorded and nobody sends them; nothing is lost, and they go out later", START
    ),
    "service-down": ProblemDescription(
        ERROR, "its API does not answer, and events for its consumer wait in the queue", START
    ),
    "not-ready": ProblemDescription(
        ERROR, "the process waits for something that it needs", "see {process}'s log, then: ./event-trio status"
    ),
    "degraded": ProblemDescription(
        WARNING, "the process works, and a part of it does not", "see {process}'s log, then: ./event-trio status"
    ),
    "database-unavailable": ProblemDescription(
        ERROR,
        "nothing can be recorded, sent or handled without the database",
        "start the database, and check DATABASE_URL and the role's rights",
    ),
    "migrations-behind": ProblemDescription(
        ERROR,
        "the code uses tables and columns that the database does not have",
        "python -m services.{service}.migrate",
    ),
    "role-lacks-rights": ProblemDescription(
        ERROR,
        "the process connects and every statement fails",
        "python -m services.{service}.migrate grants the rights, as the owner of the database",
    ),
    "key-set-unreachable": ProblemDescription(
        ERROR,
        "no token can be verified, so every request is refused",
        "make the URL or file of AUTH_JWKS reachable from {process}; it is read again by itself",
    ),
    "token-refused": ProblemDescription(
        ERROR,
        "doctor cannot look inside the process, and may miss its problems",
        "export EVENT_TRIO_TOKEN=$(./event-trio token --role operator), or a token of your issuer",
    ),
    "no-details": ProblemDescription(
        WARNING,
        "doctor could not read a part of the process, and may miss its problems",
        "./event-trio status, then again",
    ),
    # Agreement between processes
    "prefix-differs": ProblemDescription(
        ERROR,
        "the processes use different topics and queues, so events of one never reach the other",
        "give all processes of an environment the same TOPOLOGY_PREFIX, and restart those that differ",
    ),
    "broker-differs": ProblemDescription(
        ERROR,
        "the processes use different brokers, so events of one never reach the other",
        "give all processes the same AWS_REGION and AWS_ENDPOINT_URL, and restart those that differ",
    ),
    "version-differs": ProblemDescription(
        WARNING,
        "processes of different versions may not understand each other's rows and events",
        "deploy one version everywhere; CHANGELOG.md says which versions work together",
    ),
    "clock-skew": ProblemDescription(
        WARNING,
        "times of events mislead, and with a large difference tokens and the signatures of AWS calls are refused",
        "start time synchronization (chrony, systemd-timesyncd) on the machine of {process}",
    ),
    # The outbox
    "lane-without-relay": ProblemDescription(
        ERROR,
        "the groups of these lanes are not sent until a relay takes them, at the latest when the lease expires",
        "./event-trio outbox lanes --service {process}; if no relay takes them within LEASE_SECONDS, restart the relay",
    ),
    "group-held": ProblemDescription(
        WARNING,
        "no event of the group is sent until you decide",
        "./event-trio outbox show {group} --service {process}, then release or discard",
    ),
    "outbox-paused": ProblemDescription(
        WARNING,
        "nothing is sent while an operator's pause lasts",
        './event-trio outbox resume --service {process} --reason "..."',
    ),
    "outbox-late": ProblemDescription(
        WARNING,
        "events are sent more than a minute after they were recorded",
        "./event-trio outbox status --service {process}",
    ),
    "broker-outage": ProblemDescription(
        ERROR,
        "the broker refuses every call; events wait, and go out when it accepts them again",
        "repair the broker, the relay's policy or its credentials; the relay retries by itself",
    ),
    "publish-check-broken": ProblemDescription(
        ERROR,
        "sent events do not come back, so that nothing proves that they arrived",
        "make topology-check shows what is missing or altered; deploy it again",
    ),
    "broker-recreated": ProblemDescription(
        ERROR,
        "messages that subscribers had not read may be lost",
        './event-trio outbox accept-broker --service {process} --reason "...", or replay --since 2h',
    ),
    # The broker
    "topic-missing": ProblemDescription(ERROR, "no event can be sent", DEPLOY),
    "publish-check-missing": ProblemDescription(
        ERROR, "sent events cannot be confirmed, and the relay does not become ready", DEPLOY
    ),
    "queue-missing": ProblemDescription(
        ERROR, "what SNS would deliver to it is lost for this consumer until it exists again", DEPLOY
    ),
    "policy-missing": ProblemDescription(
        ERROR, "SNS may not send to the queue, and gives up each delivery at once", DEPLOY
    ),
    "subscription-missing": ProblemDescription(ERROR, "the queue receives no event at all", DEPLOY),
    "filter-differs": ProblemDescription(
        ERROR,
        "events of a type that the filter lacks are never delivered; without a handler they become dead letters",
        DEPLOY,
    ),
    "undelivered-queue-missing": ProblemDescription(WARNING, "what SNS cannot deliver to the queue is lost", DEPLOY),
    "throughput-differs": ProblemDescription(
        WARNING, "queues of different scopes of deduplication drop or delay messages", DEPLOY
    ),
    # Consumers
    "dead-letters": ProblemDescription(
        WARNING,
        "these events had no effect at this service until you redrive or discard them",
        "./event-trio dead-letters list --service {process}, then redrive or discard",
    ),
    "queue-dead-letters": ProblemDescription(
        WARNING,
        "the broker gave up messages, and the service did not take them over",
        "start the service: it makes dead letters of them; else ./event-trio status",
    ),
    "deferred-overdue": ProblemDescription(
        ERROR,
        "a deferred message is due and does not run; the rest of its group waits behind it",
        "{command}",
    ),
}
