"""The alerting rules use existing metrics, and refer to the run book."""

import pytest

from tests.support.alerts import RULES, Alert, alerts
from tests.support.documents import page
from tools.reference import metrics

every_alert = pytest.mark.parametrize("alert", alerts().values(), ids=lambda alert: alert.name)


@every_alert
def test_its_metrics_exist(alert: Alert) -> None:
    assert alert.metrics
    assert alert.metrics <= metrics.names() | {"up"}  # which Prometheus itself makes


@every_alert
def test_the_run_book_has_its_heading(alert: Alert) -> None:
    assert alert.annotations["run_book"] in {text for _, text in page("docs/how-to/run-book.md").headings}


def test_the_run_book_has_no_other_alerts() -> None:
    names = {alert.annotations["run_book"] for alert in alerts().values()}
    text = page("docs/how-to/run-book.md").text.partition("\n## Prometheus\n")[2]
    headings = {line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")}
    assert headings == names
    assert RULES.name in text


def test_an_expression_is_evaluated_and_a_missing_value_is_not_an_alarm() -> None:
    rule = alerts()["NoRelay"]
    assert rule.holds("outbox_live_relays 0.0\n")
    assert not rule.holds("outbox_live_relays 2.0\n")
    assert not rule.holds("outbox_live_relays NaN\n")
    with pytest.raises(AssertionError, match="no sample of"):
        rule.holds("something_else 1.0\n")
