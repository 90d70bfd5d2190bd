"""The part: its two tables, and which run and which tests answer each question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from comparisons.brokers import claims, delivery, endurance, policies
from comparisons.brokers.questions import COLUMNS, Question, line
from comparisons.contract import ComparisonPart, ComparisonTable, Line, LineResult
from comparisons.environment import ComparisonEnvironment

MOST_SECONDS = 420.0
QUICK = "integration/test_comparison_brokers.py::test_a_broker_answers_as_expected"
ALL = "stress/test_broker_questions.py::test_rabbitmq_and_kafka_answer_as_expected"
CLAIM = "integration/test_comparison_brokers.py::test_a_claim_has_its_verdict"
CLAIM_OF_RABBITMQ = "stress/test_broker_questions.py::test_rabbitmq_is_not_one_to_one"
RABBITMQ = "claim-rabbitmq"


def _line(key: str, text: str, question: Question) -> Line:
    return Line(key, text, (QUICK, ALL), line(question), MOST_SECONDS)


def _claim(key: str, quoted: str, run: Callable[[ComparisonEnvironment], Awaitable[LineResult]]) -> Line:
    test = CLAIM_OF_RABBITMQ if key == RABBITMQ else CLAIM
    return Line(key, f"“{quoted}”", (test,), run, MOST_SECONDS)


QUESTIONS: dict[str, tuple[str, Question]] = {
    "fan-out": ("Does every subscriber get every event?", delivery.fan_out),
    "away": ("What does a subscriber find that was away?", delivery.away),
    "two-consumers": ("Do two consumers of a subscriber keep each key in order?", delivery.two_consumers),
    "redelivery": ("Does an unacknowledged event come again?", delivery.redelivery),
    "blocking": ("What waits behind an event in flight?", delivery.blocking),
    "delayed-retry": ("Who keeps the delay of a retry?", policies.delayed_retry),
    "dead-letters": ("Does the broker move what fails again and again?", policies.dead_letters),
    "replay": ("Does a new subscriber get the history?", policies.replay),
    "filter": ("Who selects events by attribute?", policies.attribute_filter),
    "size": ("How large may an event be?", policies.size),
    "confirmation": ("Can a publisher see its event come back?", policies.confirmation),
    "transaction": ("Are several events published together or not at all?", policies.transaction),
    "killed": ("What is lost by kill -9 after the acknowledgement?", endurance.killed),
    "speed": ("Rate, and latency at p50 / p99", endurance.speed),
    "memory": ("Memory of the server", endurance.memory),
}
CLAIMS = {
    "claim-kafka": ("Kafka 1:N", claims.kafka),
    "claim-redis": ("Redis Pub/Sub 1:N", claims.redis),
    "claim-sns": ("SNS 1:N", claims.sns),
    "claim-sqs": ("SQS 1:1", claims.sqs),
    RABBITMQ: ("RabbitMQ 1:1", claims.rabbit),
    "claim-groups-alone": ("message groups alone make EDA hard", claims.groups_alone),
}

PART = ComparisonPart(
    "brokers",
    minutes=8,
    tables=(
        ComparisonTable(
            "claims",
            "The seed says",
            (claims.VERDICT,),
            tuple(_claim(key, quoted, run) for key, (quoted, run) in CLAIMS.items()),
        ),
        ComparisonTable(
            "brokers",
            "Question",
            COLUMNS,
            tuple(_line(key, text, question) for key, (text, question) in QUESTIONS.items()),
        ),
    ),
)
