"""How `event-trio topology show` draws what could not be read."""

from typing import Any

import pytest

from tools.cli.output import Output
from tools.cli.topology import UNKNOWN, _drawn

QUEUE = {"name": "q", "exists": True, "problem": None, "messages": 0, "in_flight": 0}
PUBLISHED: dict[str, Any] = {"exists": True, "problem": None, "published_by": ["order-relay"], "publish_check": None}


def consumer(topic: dict[str, Any] | None) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "topic": topic,
        "queue": QUEUE,
        "dead_letter_queue": None,
        "undelivered_queue": None,
        "handles": [],
    }
    return {"service": "notification", **parts}


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (None, "subscription cannot be read"),
        ({"subscriptions": None}, "subscription cannot be read"),
        ({"subscriptions": []}, "subscription does not exist"),
    ],
)
def test_a_subscription_is_missing_only_if_the_broker_says_so(
    topic: dict[str, Any] | None, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = _drawn({**PUBLISHED, "name": "t", "subscriptions": [], "consumers": [consumer(topic)]})
    Output(as_json=False).tree(drawn)
    assert expected in capsys.readouterr().out


def test_a_topic_whose_name_is_unknown_has_no_publisher(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = {**PUBLISHED, "name": UNKNOWN, "exists": None, "published_by": []}
    Output(as_json=False).tree(_drawn({**unknown, "subscriptions": [], "consumers": [consumer(None)]}))
    assert capsys.readouterr().out.startswith("a topic that could not be read\n")
