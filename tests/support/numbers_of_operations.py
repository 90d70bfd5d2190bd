"""The numbers in the prose of the guides to operating what runs."""

from event_trio.broker.queue import BATCH
from event_trio.http.health import AWS_CACHE_SECONDS
from event_trio.inbox.reader import OVERDUE_SECONDS
from event_trio.outbox.monitor import EVERY_SECONDS, GRACE_SECONDS, LATE_SECONDS
from event_trio.outbox.reader import WALKED
from services.notification.senders.circuit_breaking import OPTIONS
from services.relay.group_sql import LOOKED_AT
from services.relay.jobs.gauge import MOST as COUNTED_EVENTS
from services.relay.jobs.replay_requests import COUNTED
from services.relay.settings import RelaySettings
from tests.support.prose_numbers import Aws, Code, Entry, Measured, alarm, attribute, default, most_receives, threshold
from tools.cli.client import CHANGE_SECONDS, NOTICE_AFTER_SECONDS
from tools.cli.doctor.checks_of_processes import SKEW_SECONDS
from tools.cli.outbox_views import LATE_SECONDS as SENT_LATE_SECONDS
from tools.cli.probe import LOCAL_SECONDS, REMOTE_SECONDS

SUBSCRIBER, TOPIC, CHECK = "notification-order-events", "order-events", "order-events-publish-check"
FILTERS = "Amazon SNS Developer Guide, message filtering for FIFO topics"
READINESS = "integration/test_readiness.py::test_readiness_uses_few_calls_and_reports_a_read_only_database"

OPERATIONS: dict[str, tuple[Entry, ...]] = {
    "docs/how-to/operate-the-outbox.md": (
        Code("takes two seconds at the most", REMOTE_SECONDS),
        Code("within 1 s (2 s on another machine;", LOCAL_SECONDS, REMOTE_SECONDS),
        Code("no answer for 30 s (after 3 s", CHANGE_SECONDS, NOTICE_AFTER_SECONDS),
        Code("the oldest 10,000 events that are not published, and at 10,000 in all", COUNTED_EVENTS, COUNTED_EVENTS),
        Code("stops after 100,000 events", COUNTED),
        Code("keeps 200 events or more", LOOKED_AT),
        Aws("15 minutes later: SNS needs that long", FILTERS),
    ),
    "docs/how-to/read-the-state.md": (
        Code("looks at its own outbox every five seconds", EVERY_SECONDS),
        Code("may be away for 15 s", GRACE_SECONDS),
        Code("`the oldest event waits ... s` above a minute", LATE_SECONDS),
        Measured("two round trips to the database at the most", READINESS),
        Code("asked once in five seconds", AWS_CACHE_SECONDS),
        Measured("show within ten seconds", READINESS),
    ),
    "docs/how-to/run-book.md": (
        Code("older than ten minutes for five minutes", *alarm(SUBSCRIBER, "OldestMessage")),
        Code("messages wait 7 days", attribute(SUBSCRIBER, "Queue", "MessageRetentionPeriod")),
        Code("A message was received 20 times", most_receives(SUBSCRIBER)),
        Aws("anything else after 23 days", "Amazon SNS Developer Guide, message delivery retries"),
        Code("keeps them 7 days", default(RelaySettings, "retention_hours") * 3600),
        Code("Nobody reads the publish check for five minutes", alarm(CHECK, "ConfirmationsWaiting")[1]),
        Code("confirmations wait 14 days", attribute(CHECK, "Queue", "MessageRetentionPeriod")),
        Code("for two minutes, or does not report", alarm(TOPIC, "NoRelay")[1]),
        Code("not published for more than a minute", alarm(TOPIC, "EventsWait")[0]),
        Code("(of the publisher) above a minute", threshold("outbox_oldest_unpublished_age_seconds")),
        Code("above six minutes", threshold("outbox_confirmation_lag_seconds")),
        Code("given ten messages at a time", BATCH),
        Code("at the latest a minute later", OPTIONS.backoff.cap),
        Aws("15 minutes after the repair", FILTERS),
        Code("A clock may be two seconds from that of the machine", SKEW_SECONDS),
        Code("a deferred message is overdue a minute after it", OVERDUE_SECONDS),
        Code("sent more than a minute after they were recorded", SENT_LATE_SECONDS),
    ),
    "docs/how-to/follow-one-order.md": (Code("reads at most 20,000 events a page", WALKED),),
}
