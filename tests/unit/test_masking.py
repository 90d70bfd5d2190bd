"""Personal data in the envelopes of messages is masked, also in what is no event of the expected form."""

import json

import pytest

from event_trio.contracts.orders import OrderPlaced
from event_trio.operations_api.masking import masked_message, personal_fields

ENVELOPE = {
    "specversion": "1.0",
    "id": "1",
    "type": "order.placed",
    "data": {"recipient": "ada@example.com", "total": "1"},
}
PERSONAL = {"order.placed": frozenset({"recipient"})}


@pytest.mark.parametrize(
    ("body", "masked"),
    [
        (ENVELOPE, ["recipient"]),
        ({**ENVELOPE, "type": "order.unheard"}, ["recipient", "total"]),
        ({**ENVELOPE, "data": {"total": "1"}}, []),
        ({key: value for key, value in ENVELOPE.items() if key != "data"}, []),
        ({**ENVELOPE, "recipient": "ada@example.com"}, ["*"]),
        ({**ENVELOPE, "data": "ada@example.com"}, ["*"]),
        ({"recipient": "ada@example.com"}, ["*"]),
        (["ada@example.com"], ["*"]),
    ],
)
def test_the_fields_of_a_type_are_masked_and_everything_of_what_is_unknown(body: object, masked: list[str]) -> None:
    text = json.dumps(body)
    found, fields = masked_message(text, PERSONAL)
    assert fields == masked
    assert "ada" not in found
    assert (found == text) is not bool(masked)
    if masked == ["recipient"]:
        assert json.loads(found) == {**ENVELOPE, "data": {"recipient": "•••", "total": "1"}}


@pytest.mark.parametrize("body", ["", "ada@example.com", '{"recipient": "ada', "[" * 100_000, "null"])
def test_what_is_no_json_object_is_masked(body: str) -> None:
    assert masked_message(body, PERSONAL) == ("•••", ["*"])


def test_the_payloads_of_handlers_say_what_is_personal() -> None:
    assert personal_fields([OrderPlaced])["order.placed"] == {"recipient"}
