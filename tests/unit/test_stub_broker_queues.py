"""The stub broker's FIFO queue, its order check and its decoding of forms."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stub_broker.ordering import OrderCheck, OrderField
from benchmarks.stub_broker.queues import DEDUPLICATION_SECONDS, Content, Deduplication, FifoQueue, StoredMessage
from benchmarks.stub_broker.sns import decoded

CONTENT = Content('"x"', "md5")


def filled(*groups: str) -> FifoQueue:
    queue = FifoQueue()
    for number, group in enumerate(groups, 1):
        queue.put(StoredMessage(number, f"m-{number}", group, f"d-{number}", CONTENT, 0))
    return queue


def numbers(messages: list[StoredMessage]) -> list[int]:
    return [message.number for message in messages]


def test_a_group_is_blocked_while_a_message_of_it_is_in_flight() -> None:
    queue = filled("a", "a", "b")
    first = queue.take(1, 30, 0.0, 0)
    assert numbers(first) == [1]
    assert numbers(queue.take(10, 30, 0.0, 0)) == [3]
    assert queue.take(10, 30, 0.0, 0) == []
    assert queue.delete(first[0].handle, 1.0)
    assert numbers(queue.take(10, 30, 1.0, 0)) == [2]


def test_one_receive_takes_several_messages_of_a_group_in_order() -> None:
    queue = filled("a", "b", "a", "a")
    assert numbers(queue.take(3, 30, 0.0, 0)) == [1, 3, 4]
    assert numbers(queue.take(3, 30, 0.0, 0)) == [2]


def test_an_expired_message_comes_again_before_later_ones_with_another_handle() -> None:
    queue = filled("a", "a", "a")
    first, second = queue.take(2, 30, 0.0, 0)
    assert queue.delete(second.handle, 1.0)
    assert queue.counts.deleted_before_earlier == 1
    old = first.handle
    assert queue.expire(31.0)
    assert not queue.delete(old, 31.0)
    again = queue.take(10, 30, 31.0, 0)
    assert numbers(again) == [1, 3]
    assert not queue.delete(old, 32.0)
    assert all(queue.delete(message.handle, 32.0) for message in again)
    assert queue.delete(again[0].handle, 33.0), "deleting twice succeeds"
    assert (queue.visible, queue.in_flight, queue.counts.redelivered) == (0, 0, 1)


def test_visibility_is_prolonged_and_ended() -> None:
    queue = filled("a")
    message = queue.take(1, 10, 0.0, 0)[0]
    assert queue.change_visibility(message.handle, 60, 5.0)
    assert not queue.expire(11.0)
    assert queue.change_visibility(message.handle, 0, 12.0)
    assert queue.has_ready
    assert not queue.change_visibility(message.handle, 60, 13.0)


def test_a_deduplication_id_is_forgotten_after_five_minutes() -> None:
    known = Deduplication()
    known.remember("g", "d", "m-1", "1", 0.0)
    assert known.find("g", "d", DEDUPLICATION_SECONDS - 1) == ("m-1", "1")
    assert known.find("other", "d", 1.0) is None
    assert known.find("g", "d", DEDUPLICATION_SECONDS) is None


@pytest.mark.parametrize(
    ("values", "violations", "repeats", "missing"),
    [
        ([1, 2, 3], 0, 0, 0),
        ([1, 3, 2], 1, 0, 0),
        ([2, 1], 1, 0, 0),
        ([1, 2, 1, 2, 3], 0, 2, 0),
        ([1, 4], 0, 0, 2),
        ([5000, 5001], 0, 0, 0),
    ],
)
def test_the_order_of_a_group_is_checked(values: list[int], violations: int, repeats: int, missing: int) -> None:
    check = OrderCheck()
    for value in values:
        check.see("g", value)
    assert (check.violations, check.repeats, check.missing) == (violations, repeats, missing)


def test_the_order_field_is_found_in_a_body() -> None:
    field = OrderField("sequence")
    assert field.value(b'{"sequence":"00000000000000000012","data":{"sequence":1}}') == 12
    assert field.value(b'{"sequence" : 7}') == 7
    assert field.value(b"{}") is None


@given(st.text())
def test_forms_are_decoded_as_urllib_encodes_them(text: str) -> None:
    assert decoded(quote(text).encode()).decode() == text
    assert decoded(quote_plus(text).encode()).decode() == text
    assert decoded(quote(text, safe="~-_.").encode()).decode() == text
