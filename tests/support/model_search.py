"""Searches a state machine for a sequence of steps that breaks an invariant.

In CI the search is short and always the same. MODEL_MINUTES lets it go on with other random choices for so long.
"""

import os
import time

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

try:
    SECONDS = 60.0 * float(os.environ.get("MODEL_MINUTES") or 0.0)
except ValueError:
    raise pytest.UsageError(f"MODEL_MINUTES={os.environ['MODEL_MINUTES']} is not a number of minutes") from None
LIMIT_SECONDS = SECONDS + 600.0
"""The timeout of the test that searches."""


def search(machine: type[RuleBasedStateMachine], *, examples: int, steps: int, shrink: bool) -> None:
    """Run the machine; raises what an invariant raises."""
    until, is_long = time.monotonic() + SECONDS, SECONDS > 0.0
    # A failure is worth being made small, but not when it is expected.
    shrink = shrink and not os.environ.get("EXPECT_FAILURE")
    while True:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=not is_long,
                database=None,
                phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
                report_multiple_bugs=False,
                print_blob=is_long,
                suppress_health_check=list(HealthCheck),
            ),
        )
        if time.monotonic() >= until:
            return
