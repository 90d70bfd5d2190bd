"""The limits that an event must meet before it is recorded."""

import pytest

from event_trio.errors import EventRejected
from event_trio.outbox.limits import DEFAULT_BYTES, check, size


def test_an_ordinary_event_passes() -> None:
    check('{"a": "김\U0001f600\\n"}'.encode(), group="o-1", attributes={"type": "order.placed"})


def test_the_limit_counts_attributes_and_is_exact() -> None:
    attributes = {"type": "order.placed"}
    room = DEFAULT_BYTES - size(b"", attributes)
    check(b"x" * room, group="o-1", attributes=attributes)
    with pytest.raises(EventRejected, match=f"{DEFAULT_BYTES + 1} bytes"):
        check(b"x" * (room + 1), group="o-1", attributes=attributes)


@pytest.mark.parametrize(
    ("body", "group", "attributes", "says"),
    [
        (b"", "o-1", {}, "empty"),
        (b"\x01", "o-1", {}, "U\\+0001"),
        ("\ufffe".encode(), "o-1", {}, "U\\+FFFE"),
        (b"x", "", {}, "message group"),
        (b"x", "a b", {}, "message group"),
        (b"x", "a\n", {}, "message group"),
        (b"x", "김", {}, "message group"),
        (b"x", "a" * 129, {}, "129 characters"),
        (b"x", "o-1", {f"a{i}": "x" for i in range(11)}, "11 attributes"),
        (b"x", "o-1", {"type": ""}, "'type' is empty"),
        (b"x", "o-1", {"AWS.x": "x"}, "name of an attribute"),
        (b"x", "o-1", {"a..b": "x"}, "name of an attribute"),
        (b"x", "o-1", {"a\n": "x"}, "name of an attribute"),
        (b"x", "o-1", {"": "x"}, "name of an attribute"),
        (b"x", "o-1", {"n": "a\x00"}, "'n' is empty or has"),
        (b"\xff", "o-1", {}, "not UTF-8"),
        (b"x", "o-1", {"n": 5}, "'n' is not text but of type int"),
        (b"x", "o-1", {"n": None}, "'n' is not text but of type NoneType"),
        (b"x", "o-1", {"n": {"m": "x"}}, "'n' is not text but of type dict"),
        (b"x", "o-1", {"n": True}, "'n' is not text but of type bool"),
        (b"x", "o-1", ["type"], "of type list"),
        (b"x", "o-1", "type", "of type str"),
        (b"x", "o-1", 5, "of type int"),
        (b"x", "o-1", None, "of type NoneType"),
    ],
)
def test_an_event_that_the_broker_would_reject_or_drop_is_rejected(
    body: bytes, group: str, attributes: object, says: str
) -> None:
    with pytest.raises(EventRejected, match=says):
        check(body, group=group, attributes=attributes)
