"""The W3C traceparent: parsed, rejected and generated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trio.observability.tracing import Traceparent, trace_id_of

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_traceparents_round_trip() -> None:
    parsed = Traceparent.parse(VALID)
    assert parsed == Traceparent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1)
    assert str(parsed) == VALID
    assert trace_id_of(VALID) == parsed.trace_id
    assert trace_id_of("garbage") is trace_id_of(None) is None


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "garbage",
        VALID.upper(),
        VALID[:-1],
        VALID + "-more",
        "ff" + VALID[2:],
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
    ],
)
def test_invalid_traceparents_are_rejected(text: str | None) -> None:
    assert Traceparent.parse(text) is None


def test_a_later_version_with_more_fields_is_accepted() -> None:
    later = Traceparent.parse("cc" + VALID[2:] + "-what-the-future-brings")
    assert later is not None
    assert later.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_child_stays_in_the_trace() -> None:
    parent = Traceparent.new()
    child = parent.child()
    assert child.trace_id == parent.trace_id
    assert child.span_id != parent.span_id


def test_new_traces_are_valid_and_differ() -> None:
    first, second = Traceparent.new(), Traceparent.new()
    assert Traceparent.parse(str(first)) == first
    assert first.trace_id != second.trace_id


@given(st.text(max_size=80))
def test_never_raises(text: str) -> None:
    parsed = Traceparent.parse(text)
    assert parsed is None or Traceparent.parse(str(parsed)) == parsed
