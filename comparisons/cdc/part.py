"""The part: how a relay learns of new events, and the experiment without a table."""

from __future__ import annotations

from comparisons.cdc import claims, experiment, source_lines
from comparisons.cdc.experiment import FORMS
from comparisons.cdc.running import SOURCES
from comparisons.contract import ComparisonPart, ComparisonTable, Line

RELAY = "integration/test_relay_wal.py"
SOURCE = "integration/test_wal_source.py"
EXPERIMENT = "integration/test_log_only_outbox.py"

PART = ComparisonPart(
    "cdc",
    minutes=3,
    tables=(
        ComparisonTable(
            "claims",
            "The seed says",
            (claims.VERDICT,),
            (
                Line(
                    "claim-cdc",
                    "“outbox or CDC”",
                    (
                        f"{EXPERIMENT}::test_what_is_only_in_the_log_is_lost_with_the_slot",
                        f"{RELAY}::test_when_the_slot_goes_the_table_is_polled_and_nothing_is_lost",
                    ),
                    claims.outbox_or_log,
                ),
            ),
        ),
        ComparisonTable(
            "sources",
            "Measured",
            SOURCES,
            (
                Line(
                    "latency",
                    "Commit to the call to the broker, for single events in a steady stream, median / p99",
                    (f"{RELAY}::test_an_event_is_sent_at_once_without_polling_and_without_a_notification",),
                    source_lines.latency,
                ),
                Line(
                    "rate",
                    "Events a second, committed one by one by four writers and confirmed",
                    (f"{RELAY}::test_several_relays_share_the_work_though_one_reads_the_log",),
                    source_lines.rate,
                ),
                Line(
                    "load",
                    "The server's work for an event of such a run",
                    (f"{RELAY}::test_several_relays_share_the_work_though_one_reads_the_log",),
                    source_lines.load,
                ),
                Line(
                    "idle",
                    "The server's work for a relay while nothing is recorded",
                    (f"{RELAY}::test_an_event_is_sent_at_once_without_polling_and_without_a_notification",),
                    source_lines.idle,
                ),
                Line(
                    "kept",
                    "Write-ahead log that is kept for the relay",
                    (f"{SOURCE}::test_the_position_is_confirmed_only_past_what_is_recorded_as_sent",),
                    source_lines.kept,
                ),
            ),
        ),
        ComparisonTable(
            "experiment",
            "Measured",
            FORMS,
            (
                Line(
                    "log-only-latency",
                    "Commit until it is read in the log, median / p99, and its size there",
                    (f"{EXPERIMENT}::test_an_event_that_is_only_in_the_log_is_read_after_its_commit",),
                    experiment.latency,
                ),
                Line(
                    "log-only-loss",
                    "Events found after the slot was lost before they were read",
                    (f"{EXPERIMENT}::test_what_is_only_in_the_log_is_lost_with_the_slot",),
                    experiment.lost_with_the_slot,
                ),
            ),
        ),
    ),
)
