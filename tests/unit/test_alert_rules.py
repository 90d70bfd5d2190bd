"""Each alert fires in its test and is silent in a healthy hour, by Prometheus's own evaluation of the rules."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.support.alerts import RULES, alerts

TESTS = RULES.with_name("alerts_test.yaml")
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is missing: apt-get install prometheus"
)


@promtool
@pytest.mark.parametrize("arguments", [("check", "rules", RULES), ("test", "rules", TESTS)], ids=lambda given: given[0])
def test_promtool_accepts_the_rules(arguments: tuple[object, ...]) -> None:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_of_each_kind() -> None:
    tests: dict[str, Any] = {test["name"]: test for test in yaml.safe_load(TESTS.read_text())["tests"]}
    silent = {rule["alertname"] for rule in tests["a healthy hour"]["alert_rule_test"]}
    [expected] = tests["everything is broken"]["promql_expr_test"]
    fires = {re.findall('alertname="([^"]+)"', sample["labels"])[0] for sample in expected["exp_samples"]}
    assert silent == fires == set(alerts())
