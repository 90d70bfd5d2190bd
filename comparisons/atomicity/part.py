"""The part: the fault list and the measurements, as lines with a column for each way."""

from __future__ import annotations

from functools import partial

from comparisons.atomicity import fault_lines, saga_over_broker, speed_lines
from comparisons.atomicity.columns import COLUMNS
from comparisons.atomicity.faults import CallFault
from comparisons.contract import ComparisonPart, ComparisonTable, Line

TESTS = "integration/test_comparison_atomicity.py"

PART = ComparisonPart(
    "atomicity",
    minutes=5,
    tables=(
        ComparisonTable(
            "faults",
            "What happens",
            COLUMNS,
            (
                Line(
                    "no-fault",
                    "Nothing: one purchase that can be accepted, one without money, one without stock",
                    (
                        f"{TESTS}::test_without_a_fault_every_coordinated_way_is_whole",
                        f"{TESTS}::test_without_coordination_even_a_refusal_leaves_half_a_purchase",
                    ),
                    fault_lines.without_fault,
                ),
                Line(
                    "killed",
                    "The coordinator (of a saga: the carrier of events) is killed at each step, and again while it "
                    "recovers",
                    (
                        f"{TESTS}::test_a_coordinator_killed_at_any_step_breaks_nothing_that_is_coordinated",
                        "stress/test_comparison_atomicity_faults.py::"
                        "test_a_coordinator_process_killed_at_any_step_breaks_nothing",
                        f"{TESTS}::test_without_coordination_faults_do_damage",
                    ),
                    fault_lines.killed,
                ),
                *(
                    Line(
                        key,
                        question,
                        (
                            f"{TESTS}::test_no_fault_of_a_call_breaks_what_is_coordinated",
                            f"{TESTS}::test_without_coordination_faults_do_damage",
                        ),
                        partial(fault_lines.called, fault=fault),
                    )
                    for key, question, fault in (
                        ("away", "A participant is away, from each call on, and comes back", CallFault.AWAY),
                        ("answer-lost", "The answer to each call is lost", CallFault.ANSWER_LOST),
                        ("twice", "Each message is delivered twice", CallFault.TWICE),
                        ("slow", "The participant does it after everybody has given up", CallFault.SLOW),
                    )
                ),
                Line(
                    "restarted",
                    "The participant's server is killed (SIGKILL) after it promised, and starts again",
                    (f"{TESTS}::test_a_promise_survives_a_restart_of_the_participant_s_server",),
                    fault_lines.restarted,
                ),
            ),
        ),
        ComparisonTable(
            "absence",
            "While the coordinator is gone",
            COLUMNS,
            (
                Line(
                    "others",
                    "It died after the first promise. Can others buy the same item?",
                    (f"{TESTS}::test_who_waits_for_a_coordinator_that_is_gone",),
                    fault_lines.others,
                ),
                Line(
                    "expired",
                    "It died after its decision, for longer than reservations hold, and others bought the rest",
                    (f"{TESTS}::test_a_confirmation_after_the_time_needs_a_person_if_all_is_sold",),
                    fault_lines.expired,
                ),
            ),
        ),
        ComparisonTable(
            "speed",
            "Measured",
            COLUMNS,
            (
                Line(
                    "latency",
                    "Time until the result is known, one client, a message takes no time",
                    (f"{TESTS}::test_every_way_can_be_measured",),
                    partial(speed_lines.latency, delay=0.0),
                ),
                Line(
                    "latency-network",
                    "The same, a message or call takes 5 ms",
                    (f"{TESTS}::test_every_way_can_be_measured",),
                    partial(speed_lines.latency, delay=0.005),
                ),
                Line(
                    "latency-broker",
                    "The same for the sagas as this system runs them: a relay for each service, and LocalStack",
                    ("stress/test_comparison_atomicity_broker.py::test_a_saga_over_relay_and_broker_is_whole",),
                    saga_over_broker.latency,
                    most_seconds=240,
                ),
                Line(
                    "contention",
                    "Accepted purchases of one item a second, 16 clients, a message or call takes 5 ms",
                    (f"{TESTS}::test_two_phase_commit_locks_a_row_over_the_network",),
                    speed_lines.contention,
                ),
                Line(
                    "locked",
                    "How long the item's row stays locked for one purchase, the same load",
                    (f"{TESTS}::test_two_phase_commit_locks_a_row_over_the_network",),
                    speed_lines.locked,
                ),
            ),
        ),
    ),
)
