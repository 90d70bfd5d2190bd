"""The numbers in the prose of the explanations."""

from event_trio.broker import aws, queue
from event_trio.consumer import delivery, isolation
from event_trio.consumer.pipeline.failures import UNCOUNTED_FAILURES
from event_trio.consumer.pipeline.pipeline import UNFINISHED_ATTEMPTS
from event_trio.consumer.policies import IN_PLACE_SECONDS
from event_trio.consumer.sources import acknowledgements
from event_trio.consumer.sources.deferred import DeferredOptions
from event_trio.database import connections as database
from event_trio.database import session_limits
from event_trio.inbox.resolution import STEP
from event_trio.inbox.selection import MOST
from event_trio.outbox import monitor
from event_trio.outbox.limits import ATTRIBUTES, DEFAULT_BYTES
from event_trio.outbox.notifier import LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from event_trio.outbox.schema import LANES
from services.notification.settings import NotificationSettings
from services.relay.broker_parts import CHECK_WAIT_SECONDS
from services.relay.confirmation import publish_check, sweeper
from services.relay.jobs import event_pruner, gauge, replay_requests, replays
from services.relay.leases import listener
from services.relay.publishing import call_spacing, limiter, publisher, rejection_monitor
from services.relay.publishing import dispatcher as dispatcher
from services.relay.publishing.acknowledgements import QUIET_SECONDS
from services.relay.publishing.backlog import BATCH_ENTRIES, FRESH_SECONDS
from services.relay.publishing.batch_filling import FILL_ABOVE, FILL_SECONDS, LONGEST_WAIT_SECONDS, SLOW_SECONDS
from services.relay.publishing.outbox_reader import NARROW_WINDOW
from services.relay.publishing.poll_interval import WHILE_ANNOUNCED_SECONDS
from services.relay.settings import RelaySettings
from services.relay.wal import stream
from tests.faults import system as fault_system
from tests.support.prose_numbers import Aws, Code, Entry, Example, Measured, cost, default

PACE = DeferredOptions()
FILTERS = "Amazon SNS Developer Guide, message filtering for FIFO topics"
LEASE = default(RelaySettings, "lease_seconds")
VISIBILITY = default(NotificationSettings, "visibility_seconds")
SCALE, PRUNING = "make test-scale", "python -m benchmarks.pruning"
PRESSURE = "unit/test_relay_pressure.py::test_at_five_per_cent_throttled_the_relay_keeps_nine_tenths_of_its_rate"
HANDLED = (
    "integration/test_notification_round_trips.py::"
    "test_an_event_takes_two_round_trips_and_another_one_if_the_recipient_is_read"
)

EXPLANATIONS: dict[str, tuple[Entry, ...]] = {
    "docs/explanation/consumer-and-inbox.md": (
        Code("receives ten messages at a time", queue.BATCH),
        Code("in place for at most a minute", IN_PLACE_SECONDS),
        Code("died over the same message three times", UNFINISHED_ATTEMPTS),
        Code("up to 1,000 with one call", MOST),
        Code("at most 50 messages", STEP),
        Code("up to eight groups side by side, and after 100 messages", PACE.concurrency, PACE.burst),
        Code("reserved for five minutes", PACE.lease_seconds),
        Code("for more than 0.2 s.", acknowledgements.LINGER_SECONDS),
        Measured("takes two round trips", HANDLED),
        Measured("takes three round trips", HANDLED),
        Code("a deadline over the whole of it: five seconds", aws.CALL_SECONDS),
        Code("hidden for a minute", VISIBILITY),
        Code("the waits between them (at most a minute)", IN_PLACE_SECONDS),
        Example("a policy of five attempts is five attempts", "a policy as it may be"),
        Code("With delays above a minute", IN_PLACE_SECONDS),
        Code("an event costs 0.2 calls", round(cost("consumer", "aws_calls"), 1)),
        Code("from the third delivery on", delivery.POSSIBLY_POISONOUS_FROM),
        Code("The fourth start is not made", UNFINISHED_ATTEMPTS + 1),
        Code("from the second such start on", isolation.ISOLATED_FROM),
        Code("at least 2 ms;", LEAST_PAUSE_SECONDS),
    ),
    "docs/explanation/faults.md": (
        Example('Times such as "up to a minute"', "an example of the wording below"),
        Code("once the lease is over (15 seconds)", LEASE),
        Example("An outbox of a million events", "what its test looks at, by the Makefile's ROWS"),
        Measured("for an hour of events",
                 "unit/test_relay_memory.py::test_an_hour_of_events_without_a_broker_does_not_grow_the_memory"),
        Code("Within 20 seconds that is noticed", listener.PROBE_EVERY_SECONDS + listener.PROBE_ANSWER_SECONDS),
        Code("waits for a second at most", default(RelaySettings, "poll_idle_seconds")),
        Measured("are twenty minutes apart", "integration/test_relay_clocks.py::"
                 "test_relays_with_clocks_far_apart_share_the_lanes_and_keep_every_group_in_order"),
        Code("proven lost after six minutes", sweeper.LOST_AFTER_SECONDS),
        Code("its visibility ends (up to a minute)", VISIBILITY),
        Measured("goes on within a second",
                 "integration/test_consumer_acknowledgements.py::test_a_delete_that_fails_is_repeated"),
        Code("It ends after five seconds", aws.CALL_SECONDS),
        Measured("about a second after it is back", "integration/test_database_faults.py::"
                 "test_an_immediate_restart_of_postgres_loses_and_duplicates_nothing"),
        Code("no answer for 15 seconds", database.STATEMENT_SECONDS),
        Code("ends after 30 seconds", session_limits.IDLE_SECONDS),
        Code("after 15 minutes, or a minute for the sessions",
             session_limits.TRANSACTION_SECONDS, session_limits.POOL_TRANSACTION_SECONDS),
        Measured("not ready within ten seconds", "integration/test_readiness.py::"
                 "test_readiness_uses_few_calls_and_reports_a_read_only_database"),
        Code("At most fifty messages in one transaction", STEP),
        Code("After thirty times", UNCOUNTED_FAILURES),
    ),
    "docs/explanation/message-groups.md": (
        Code("A publish of ten entries", BATCH_ENTRIES),
        Example("two orders' events", "any two"),
    ),
    "docs/explanation/outbox-and-relay.md": (
        Code("at most every 2 to 50 milliseconds, and these", LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS),
        Code("Reading pauses at 50,000 unsent events", stream.MOST_UNSENT),
        Code("it still polls every ten seconds", WHILE_ANNOUNCED_SECONDS),
        Measured("behind 75,000 of them",
                 "integration/test_outbox_scale.py::test_unconfirmed_events_do_not_slow_reads"),
        Code("divide the 64 lanes", LANES),
        Code("looks at its own outbox every five seconds", monitor.EVERY_SECONDS),
        Code("waits for more than a minute", monitor.LATE_SECONDS),
        Code("within its lease and five seconds", monitor.EVERY_SECONDS),
        Example("stopped for a minute between", "any length above the lease"),
        Code("takes ten entries", BATCH_ENTRIES),
        Code("256 KiB unless set", DEFAULT_BYTES),
        Code("no other event was acknowledged for 0.25 seconds", QUIET_SECONDS),
        Code("takes 2 events of each group", NARROW_WINDOW),
        Code("while more than 25 % of the calls", FILL_ABOVE * 100),
        Code("and at most 50 milliseconds after the last answer", FILL_SECONDS),
        Code("take 20 milliseconds or longer", SLOW_SECONDS),
        Code("no longer than 250 milliseconds", LONGEST_WAIT_SECONDS),
        Code("come more than 50 milliseconds", call_spacing.LATE_SECONDS),
        Code("further apart, up to 250 milliseconds", call_spacing.MOST_SECONDS),
        Code("to half every 10 seconds", call_spacing.HALVED_SECONDS),
        Aws("drops them for at least five minutes", "Amazon SNS Developer Guide, message deduplication"),
        Code("Every five seconds a group that never rests", FRESH_SECONDS),
        Code("(2 to 50 milliseconds)", LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS),
        Code("has rejected three times *by name*", rejection_monitor.REPEATS),
        Example("one group or a thousand", "any number"),
        Code("If events of five groups or more", rejection_monitor.GROUPS),
        Code("(0.2 to 30 seconds)", dispatcher.POSSIBLY_POISONOUS.first, dispatcher.POSSIBLY_POISONOUS.cap),
        Measured("with 5 % of the entries throttled, more than 90 % of its rate", PRESSURE),
        Code("ten answers at the least", limiter.ROUND),
        Code("is more than a fifth,", limiter.TOLERATED),
        Code("it pauses up to two seconds", limiter.PAUSE.cap),
        Code("after 10 milliseconds, then 20, and so on up to two seconds",
             dispatcher.THROTTLED.first, dispatcher.THROTTLED.cap),
        Measured("A million held events cost the others nothing: a read among them touches some 190 pages", SCALE),
        Code("the oldest 10,000 events", gauge.MOST),
        Code("among at most 100,000 events, and walks in steps of 5,000", replay_requests.COUNTED, replays.STEP),
        Measured("touches among a million", SCALE),
        Code("in steps of a thousand", event_pruner.STEP),
        Measured("| Rate of publishing | Median of 30 pairs | 95 % of resamples |", PRUNING),
        Measured("the interval of 95 % of the resampled medians", PRUNING),
        Measured("one of more than 9 % is unlikely", PRUNING),
    ),
    "docs/explanation/publish-check.md": (
        Code("up to 16 at a time", publish_check.RECEIVERS),
        Code("A pause of 0.2 seconds after a receive with less than ten messages",
             publish_check.GATHER_SECONDS, queue.BATCH),
        Code("at most five such statements a second", 1 / publish_check.GATHER_SECONDS),
        Code("recorded about twice a second", 1 / publish_check.RECORD_SECONDS),
        Code("every 50 milliseconds while", publish_check.MANY_SECONDS),
        Code("half a second after 200 were recorded", publish_check.RECORD_SECONDS),
        Code("no message came for 50 milliseconds", publish_check.QUIET_SECONDS),
        Aws("while ten messages of it are in flight", "Amazon SQS Developer Guide, FIFO queue delivery logic"),
        Aws("for at least five minutes", "Amazon SNS Developer Guide, message deduplication for FIFO topics"),
        Code("(half a second: to 20 events a second)",
             publish_check.RECORD_SECONDS, queue.BATCH / publish_check.RECORD_SECONDS),
        Code("sent more than six minutes ago", sweeper.LOST_AFTER_SECONDS),
        Code("seen empty at least a minute after", sweeper.IN_QUEUE_AFTER_SECONDS),
        Aws("become true only about a minute after a change", "Amazon SQS API Reference, GetQueueAttributes"),
        Code("only when it is a minute old", sweeper.IN_QUEUE_AFTER_SECONDS),
        Code("is waited for a minute", sweeper.PROBE_SECONDS),
        Code("A probe was sent a minute ago", sweeper.PROBE_SECONDS),
        Code("Six minutes, because", sweeper.LOST_AFTER_SECONDS),
        Code("looks again every 30 seconds", publisher.LOOK_AGAIN_SECONDS),
        Code("sending waits ten seconds", CHECK_WAIT_SECONDS),
    ),
    "docs/explanation/reliability.md": (
        Code(
            "to 10 s for its consumers and to 5 s for the publish check",
            fault_system.CONSUMER_VISIBILITY_SECONDS,
            fault_system.CHECK_VISIBILITY_SECONDS,
        ),
    ),
    "docs/explanation/why-sns-and-sqs.md": (
        Code("more than ten attributes", ATTRIBUTES),
        Aws("up to 15 minutes to apply", FILTERS),
    ),
}  # fmt: skip
