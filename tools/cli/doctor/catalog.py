"""Every problem that doctor can find: why it matters, and the command that mends it. The run book lists them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class ProblemDescription:
    """A kind of problem. `{names}` in remedy and command are given with each problem; all know `{process}`."""

    severity: Severity
    why: str
    remedy: str
    command: str = ""
    """What a shell in the folder of the project runs as it is; empty if the remedy is outside of this project."""


@dataclass(frozen=True)
class FoundProblem:
    """A problem of one process, the change that mends it, and the command with which that begins."""

    code: str
    process: str
    what: str
    remedy: str
    command: str

    @property
    def kind(self) -> ProblemDescription:
        """The description of its kind."""
        return KINDS[self.code]


def problem(code: str, process: str, what: str, **values: str) -> FoundProblem:
    """A problem of a known kind; raises KeyError for an unknown code, or when its remedy needs another value."""
    kind = KINDS[code]
    remedy, command = (text.format(process=process, **values) for text in (kind.remedy, kind.command))
    return FoundProblem(code, process, what, remedy, command)


START = (
    "start it; end it first if it runs and does not answer (make demo RESTART=1, docker compose restart {process}, or "
    "your platform); its log has the cause"
)
SEE_LOG, STATUS = "see what {process} waits for, and its log", "./event-trio status"
DEPLOY, DIFFERENCES = (
    "see each difference, then deploy the templates again (python -m infra.deploy)",
    "make topology-check",
)
MIGRATE = ".venv/bin/python -m services.{service}.migrate"
CREATE_SLOT = ".venv/bin/python -m services.relay create-slot"
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
    "not-ready": ProblemDescription(ERROR, "the process waits for something that it needs", SEE_LOG, STATUS),
    "degraded": ProblemDescription(WARNING, "the process works, and a part of it does not", SEE_LOG, STATUS),
    "database-unavailable": ProblemDescription(
        ERROR,
        "nothing can be recorded, sent or handled without the database",
        "start the database, and check DATABASE_URL and the role's rights",
    ),
    "migrations-behind": ProblemDescription(
        ERROR,
        "the code uses tables and columns that the database does not have",
        "run the migrations, as the owner of the database (DATABASE_URL)",
        MIGRATE,
    ),
    "role-lacks-rights": ProblemDescription(
        ERROR,
        "the process connects and every statement fails",
        "run the migrations, which grant the rights, as the owner of the database (DATABASE_URL)",
        MIGRATE,
    ),
    "key-set-unreachable": ProblemDescription(
        ERROR,
        "no token can be verified, so every request is refused",
        "make the URL or file of AUTH_JWKS reachable from {process}; it is read again by itself",
    ),
    "token-refused": ProblemDescription(
        ERROR,
        "doctor cannot look inside the process, and may miss its problems",
        "give an operator's token, of this machine or of your issuer",
        "export EVENT_TRIO_TOKEN=$(./event-trio token --role operator)",
    ),
    "no-details": ProblemDescription(
        WARNING,
        "doctor could not read a part of the process, and may miss its problems",
        "see what {process} waits for, then run doctor again",
        STATUS,
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
        "see when the lease expires; if no relay takes them then, restart the relay",
        "./event-trio outbox lanes --service {process}",
    ),
    "group-held": ProblemDescription(
        WARNING,
        "no event of the group is sent until you decide",
        "look at its events, then release or discard",
        "./event-trio outbox show {group} --service {process}",
    ),
    "outbox-paused": ProblemDescription(
        WARNING,
        "nothing is sent while an operator's pause lasts",
        "resume when the reason no longer holds",
        './event-trio outbox resume --service {process} --reason "..."',
    ),
    "outbox-late": ProblemDescription(
        WARNING,
        "events are sent more than a minute after they were recorded",
        "see whether it is paused, held or behind",
        "./event-trio outbox status --service {process}",
    ),
    "wal-slot-missing": ProblemDescription(
        WARNING,
        "the relays poll the table as with SOURCE=table; nothing is lost, and events are found later",
        "create the replication slot, with the role in WAL_DATABASE_URL and the settings of {process}",
        CREATE_SLOT,
    ),
    "wal-slot-lost": ProblemDescription(
        WARNING,
        "the server gave the slot up, and a lost slot does not return; the relays poll the table, and nothing is lost",
        "see in {process}'s log why the slot was not read, raise max_slot_wal_keep_size, then drop and create the slot",
        ".venv/bin/python -m services.relay drop-slot",
    ),
    "wal-slot-taken": ProblemDescription(
        WARNING,
        "something that is no relay reads the slot and moves its position; the relays poll the table",
        "end the other reader, or give the relays a slot of their own (WAL_SLOT); {process} continues by itself",
    ),
    "wal-publication-missing": ProblemDescription(
        WARNING,
        "a slot without its publication shows no events; the relays poll the table",
        "run the migrations, which create the publication; then drop the slot and create it again",
        MIGRATE,
    ),
    "wal-unreadable": ProblemDescription(
        WARNING,
        "no relay can read the write-ahead log, so all of them poll the table",
        "set wal_level = logical, check WAL_DATABASE_URL and its role, or set SOURCE=table for {process}",
    ),
    "wal-behind": ProblemDescription(
        WARNING,
        "the log is read late, so the table is polled too; a large transaction or a broker outage is the usual cause",
        "see whether events wait, and end or divide large transactions",
        "./event-trio outbox status --service {process}",
    ),
    "wal-kept": ProblemDescription(
        WARNING,
        "the server keeps log for the slot: its disk fills, or it gives the slot up at max_slot_wal_keep_size",
        "see whether events wait; else end transactions that are open for long, or drop the slot",
        "./event-trio outbox status --service {process}",
    ),
    "broker-outage": ProblemDescription(
        ERROR,
        "the broker accepts no call; events wait, and go out when it does again",
        "repair the broker, or the policy or credentials of {process}; it retries by itself",
    ),
    "publish-check-broken": ProblemDescription(
        ERROR,
        "sent events do not come back, so that nothing proves that they arrived",
        DEPLOY,
        DIFFERENCES,
    ),
    "broker-recreated": ProblemDescription(
        ERROR,
        "messages that subscribers had not read may be lost",
        "replay what was published since then if queues of subscribers were recreated too; else accept the broker",
        './event-trio outbox accept-broker --service {process} --reason "..."',
    ),
    # The broker
    "topic-missing": ProblemDescription(ERROR, "no event can be sent", DEPLOY, DIFFERENCES),
    "publish-check-missing": ProblemDescription(
        ERROR, "sent events cannot be confirmed, and the relay does not become ready", DEPLOY, DIFFERENCES
    ),
    "queue-missing": ProblemDescription(
        ERROR, "what SNS would deliver to it is lost for this consumer until it exists again", DEPLOY, DIFFERENCES
    ),
    "policy-missing": ProblemDescription(
        ERROR, "SNS may not send to the queue, and gives up each delivery at once", DEPLOY, DIFFERENCES
    ),
    "subscription-missing": ProblemDescription(ERROR, "the queue receives no event at all", DEPLOY, DIFFERENCES),
    "filter-differs": ProblemDescription(
        ERROR,
        "events of a type that the filter lacks are never delivered; without a handler they become dead letters",
        DEPLOY,
        DIFFERENCES,
    ),
    "undelivered-queue-missing": ProblemDescription(
        WARNING, "what SNS cannot deliver to the queue is lost", DEPLOY, DIFFERENCES
    ),
    "throughput-differs": ProblemDescription(
        WARNING, "queues of different scopes of deduplication drop or delay messages", DEPLOY, DIFFERENCES
    ),
    # Consumers
    "dead-letters": ProblemDescription(
        WARNING,
        "these events had no effect at this service until you redrive or discard them",
        "see why they failed, then redrive or discard",
        "./event-trio dead-letters list --service {process}",
    ),
    "queue-dead-letters": ProblemDescription(
        WARNING,
        "the broker gave up messages, and the service did not take them over",
        "start the service, which makes dead letters of them; if it runs, see what it waits for",
        STATUS,
    ),
    "deferred-overdue": ProblemDescription(
        ERROR,
        "a deferred message is due and does not run; the rest of its group waits behind it",
        "{remedy}",
        "{command}",
    ),
}
