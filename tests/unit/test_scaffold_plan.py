"""What a new service may be called, and what it may publish."""

from pathlib import Path

import pytest

from tools.scaffold.plan import ScaffoldRefused, plan

ROOT = Path(__file__).parents[2]
RESERVED = [
    *("tests", "tools", "infra", "outbox", "main", "service", "services", "shared", "contracts", "inbox", "consumer"),
    *("relay", "postgres", "public", "template0", "template1", "test", "docs", "benchmarks", "class", "select"),
]


@pytest.mark.parametrize("name", RESERVED)
def test_a_name_that_means_something_else_is_refused(name: str) -> None:
    with pytest.raises(ScaffoldRefused, match="reserves that word"):
        plan(ROOT, name, ["order.placed"])


@pytest.mark.parametrize("second", ["billing.a__b", "billing.a_b_", "billing.a___b"])
def test_two_types_of_one_class_are_refused(second: str) -> None:
    with pytest.raises(ScaffoldRefused, match=f"'billing.a_b' and '{second}' cannot both be: their class is BillingAB"):
        plan(ROOT, "billing", ["order.placed"], ["billing.a_b", "billing.done", second])


@pytest.mark.parametrize("published", [["billing.a_b", "billing.ab"], ["billing.done", "billing.done"], []])
def test_types_of_classes_of_their_own_are_taken(published: list[str]) -> None:
    found = plan(ROOT, "billing", ["order.placed"], published)
    assert [event.type for event in found.published] == [*dict.fromkeys(published)]
