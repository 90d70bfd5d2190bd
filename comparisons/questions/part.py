"""The part: its table, and which run and which tests answer each question."""

from __future__ import annotations

from comparisons.contract import ComparisonPart, ComparisonTable, Line
from comparisons.questions import (
    dead_letter_queue,
    filters,
    groups_alone,
    infrastructure,
    publish_flag,
    sns_and_groups,
    where_fifo,
    zero_payload,
)
from comparisons.questions.columns import FOUND

TESTS = "integration/test_comparison_questions.py"

PART = ComparisonPart(
    "questions",
    minutes=1.5,
    tables=(
        ComparisonTable(
            "questions",
            "Question",
            (FOUND,),
            (
                Line(
                    "zero-payload",
                    "What does an event without payload save, and what does it cost?",
                    (
                        f"{TESTS}::test_the_answer_is_as_expected",
                        "acceptance/test_zero_payload.py::"
                        "test_a_zero_payload_event_gives_the_same_notification_even_after_an_outage_of_its_publisher",
                    ),
                    zero_payload.run,
                ),
                Line(
                    "dead-letter-queue",
                    "What does a dead-letter queue do to the order of a group?",
                    (f"{TESTS}::test_the_answer_is_as_expected",),
                    dead_letter_queue.run,
                ),
                Line(
                    "attribute-filters",
                    "Who decides which events a subscriber receives, and what does the rest cost it?",
                    (f"{TESTS}::test_the_answer_is_as_expected",),
                    filters.run,
                ),
                Line(
                    "groups-alone",
                    "Are message groups enough, without an outbox?",
                    (f"{TESTS}::test_the_answer_is_as_expected",),
                    groups_alone.run,
                ),
                Line(
                    "where-fifo",
                    "Where does FIFO go: is a FIFO topic enough?",
                    (f"{TESTS}::test_the_answer_is_as_expected",),
                    where_fifo.run,
                ),
                Line(
                    "sns-and-groups",
                    "Do groups pass through SNS, and who waits for whom?",
                    (f"{TESTS}::test_the_answer_is_as_expected",),
                    sns_and_groups.run,
                ),
                Line(
                    "infrastructure",
                    "When is infrastructure work needed, and how much of it is automatic?",
                    (
                        "integration/test_deploy.py::test_a_repeated_deployment_changes_nothing",
                        "integration/test_drift.py::test_every_difference_is_found",
                    ),
                    infrastructure.run,
                ),
                Line(
                    "publish-flag",
                    "When does the publish flag turn true?",
                    ("integration/test_publish_check.py::test_an_acknowledgement_alone_is_no_proof",),
                    publish_flag.run,
                ),
            ),
        ),
    ),
)
