"""The alerting rules, and whether the expression of one holds for the metrics of a process."""

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.sources import ROOT

RULES = ROOT / "infra" / "prometheus" / "alerts.yaml"
COMPARISON = re.compile(r"(\w+) (<|>|==) ([0-9.]+)")
OPERATORS = {"<": operator.lt, ">": operator.gt, "==": operator.eq}


@dataclass(frozen=True)
class Alert:
    """One rule."""

    name: str
    expression: str
    annotations: Mapping[str, str]

    @property
    def metrics(self) -> set[str]:
        """The metrics that it uses."""
        found = re.findall(r"\b(?:outbox|consumer|database|service)_\w+|^up\b", self.expression)
        return {re.sub("_(bucket|count|sum)$", "", name) for name in found}

    def holds(self, page: str) -> bool:
        """Whether it fires for an answer of /metrics; for rules that compare one metric with a number."""
        found = COMPARISON.fullmatch(self.expression)
        assert found, f"{self.expression} is not a comparison with a number"
        samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
        values = [sample.value for sample in samples if sample.name == found[1]]
        assert values, f"no sample of {found[1]}"
        return any(OPERATORS[found[2]](value, float(found[3])) for value in values)


def alerts() -> dict[str, Alert]:
    """All rules by name."""
    document: dict[str, Any] = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}

    def expanded(expression: str) -> str:
        return re.sub(r"\w+:\w+:\w+", lambda found: f"({recorded[found[0]]})", expression)

    return {
        rule["alert"]: Alert(rule["alert"], expanded(rule["expr"]), rule["annotations"])
        for rule in rules
        if "alert" in rule
    }
