"""Which names and event types a new service may have."""

from pathlib import Path

import pytest

from tools.scaffold.plan import ScaffoldRefused, plan

ROOT = Path(__file__).parents[2]
RESERVED = [
    *("tests", "tools", "infra", "outbox", "main", "service", "services", "shared", "contracts", "inbox", "consumer"),
    *("relay", "postgres", "public", "template0", "template1", "test", "docs", "benchmarks", "class", "select"),
]


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_name_is_rejected(name: str) -> None:
    with pytest.raises(ScaffoldRefused, match="reserved word"):
        plan(ROOT, name, ["order.placed"])


@pytest.mark.parametrize("second", ["billing.a__b", "billing.a_b_", "billing.a___b"])
def test_two_types_with_the_same_class_are_rejected(second: str) -> None:
    with pytest.raises(ScaffoldRefused, match=f"'billing.a_b' and '{second}' would both have the class BillingAB"):
        plan(ROOT, "billing", ["order.placed"], ["billing.a_b", "billing.done", second])


@pytest.mark.parametrize("published", [["billing.a_b", "billing.ab"], ["billing.done", "billing.done"], []])
def test_types_with_distinct_classes_are_accepted(published: list[str]) -> None:
    found = plan(ROOT, "billing", ["order.placed"], published)
    assert [event.type for event in found.published] == [*dict.fromkeys(published)]
