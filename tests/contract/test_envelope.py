"""The envelope, compared with the official CloudEvents SDK, and malformed bodies."""

from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from event_trio.envelope import Envelope, sequence_text, uuid7
from event_trio.errors import MalformedEnvelope


def envelope(**changes: object) -> Envelope:
    fields: dict[str, object] = {
        "id": uuid7(),
        "source": "/services/order",
        "type": "order.placed",
        "subject": "o-1",
        "time": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        "dataschema": "https://schemas.example.com/order.placed/1",
        "partitionkey": "o-1",
        "sequence": sequence_text(7),
        "correlationid": "c-1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": {"total": "12.50", "note": None, "name": "김"},
    }
    return Envelope.model_validate({**fields, **changes})


def test_the_official_sdk_reads_what_we_write() -> None:
    ours = envelope()
    message = HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=ours.to_bytes())
    theirs = from_structured(message, JSONFormat(), CloudEvent)
    assert theirs.get_id() == str(ours.id)
    assert theirs.get_type() == "order.placed"
    assert theirs.get_subject() == "o-1"
    assert theirs.get_time() == ours.time
    assert theirs.get_data() == ours.data
    assert theirs.get_extension("sequence") == "00000000000000000007"
    assert theirs.get_extension("traceparent") == ours.traceparent
    assert theirs.get_extension("causationid") is None


def test_we_read_what_the_official_sdk_writes() -> None:
    ours = envelope()
    theirs = CloudEvent(
        attributes={
            "id": str(ours.id),
            "source": ours.source,
            "type": ours.type,
            "specversion": "1.0",
            "subject": ours.subject,
            "time": ours.time,
            "dataschema": ours.dataschema,
            "datacontenttype": "application/json",
            "partitionkey": ours.partitionkey,
            "sequence": ours.sequence,
            "correlationid": ours.correlationid,
        },
        data=ours.data,
    )
    assert Envelope.parse(JSONFormat().write(theirs)).data == ours.data


def test_a_round_trip_preserves_every_byte() -> None:
    body = envelope().to_bytes()
    assert Envelope.parse(body).to_bytes() == body


def test_time_is_utc_with_microseconds() -> None:
    assert b'"time":"2026-01-02T03:04:05.678901Z"' in envelope().to_bytes()


def test_absent_attributes_are_omitted_and_nulls_in_the_payload_kept() -> None:
    body = envelope(traceparent=None).to_bytes()
    assert b"traceparent" not in body
    assert b'"note":null' in body


def test_unknown_extensions_are_preserved() -> None:
    assert b'"region":"eu"' in envelope(region="eu").to_bytes()


@pytest.mark.parametrize(
    ("schema", "version"), [("https://s.example.com/a/1", 1), ("https://s.example.com/a/v12", 12), ("https://x", 1)]
)
def test_the_major_version_is_at_the_end_of_the_schema(schema: str, version: int) -> None:
    assert envelope(dataschema=schema).major_version == version


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"[]", b"{}", b"\xff\xfe", envelope().to_bytes().replace(b'"1.0"', b'"0.3"')]
)
def test_malformed_envelopes_are_rejected_without_quoting_them(body: bytes) -> None:
    with pytest.raises(MalformedEnvelope) as refused:
        Envelope.parse(body)
    assert "hello" not in str(refused.value)


def test_an_event_without_data_has_a_dataref() -> None:
    assert envelope(data=None, dataref="https://orders.example.com/v1/x").data is None
    with pytest.raises(ValueError, match="dataref"):
        envelope(data=None)


def test_ids_are_uuid7_and_sort_by_time() -> None:
    ids = [uuid7() for _ in range(100)]
    assert all(i.version == 7 for i in ids)
    assert ids == sorted(ids)
