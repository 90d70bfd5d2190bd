"""What the output of a test says of a mutant: only a test that failed has detected it."""

from tools.mutant_results import Verdict
from tools.mutants import judge

FAILED = """
E   AssertionError: assert 1 == 2
=========================== short test summary info ============================
FAILED tests/unit/test_a.py::test_one - AssertionError: assert 1 == 2
1 failed in 0.01s
"""
ERROR = """
E   tools.embedded.errors.EmbeddedServerFailed: not installed
=========================== short test summary info ============================
ERROR tests/integration/test_a.py::test_one - tools.embedded.errors.EmbeddedServerFailed
1 error in 0.01s
"""


def test_a_failed_test_has_detected_it() -> None:
    assert judge(1, FAILED) == (
        Verdict.DETECTED, "AssertionError: assert 1 == 2", "tests/unit/test_a.py::test_one",
    )  # fmt: skip


def test_a_test_that_could_not_begin_has_not() -> None:
    verdict, detail, failed = judge(1, ERROR)
    assert (verdict, detail, failed) == (Verdict.BROKEN, "1 error in 0.01s", "")


def test_tests_that_pass_let_it_survive() -> None:
    assert judge(0, "1 passed in 0.01s")[0] is Verdict.SURVIVED


def test_a_run_without_tests_is_no_verdict() -> None:
    assert judge(4, "", "ERROR: file not found")[0] is Verdict.BROKEN
