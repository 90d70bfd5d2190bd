"""The lean client sends the requests of the stock client: the same body bytes, the same headers, a valid signature."""

import re
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from event_trio.broker.lean import request_bodies
from event_trio.broker.lean.request_bodies import BUILDERS, Unsupported
from tests.support.lean_clients import CALLS, both_clients, outcome
from tests.support.scripted_http import Request, answering, http_answer, scripted_server

# Any character that has an encoding, NUL and other control characters included; and texts full of what is escaped.
TEXTS = st.one_of(st.text(max_size=60), st.text(st.sampled_from('%+ &=~*"{}:,\\/\n\r\t\0äß한국어😀'), max_size=60))
ATTRIBUTES = st.dictionaries(
    TEXTS,
    st.one_of(
        st.fixed_dictionaries({"DataType": TEXTS, "StringValue": TEXTS}),
        st.fixed_dictionaries({"StringValue": TEXTS, "DataType": st.just("String")}),
        st.fixed_dictionaries({"DataType": TEXTS, "BinaryValue": st.binary(max_size=10)}),
    ),
    max_size=4,
)
ENTRIES = st.fixed_dictionaries(
    {"Id": TEXTS, "Message": TEXTS},
    optional={
        "Subject": TEXTS,
        "MessageStructure": TEXTS,
        "MessageAttributes": ATTRIBUTES,
        "MessageDeduplicationId": TEXTS,
        "MessageGroupId": TEXTS,
    },
).flatmap(lambda entry: st.permutations(list(entry.items())).map(dict))
PUBLICATIONS = st.fixed_dictionaries({"TopicArn": TEXTS, "PublishBatchRequestEntries": st.lists(ENTRIES, max_size=10)})
RECEIPTS = st.fixed_dictionaries(
    {"QueueUrl": TEXTS},
    optional={
        "MaxNumberOfMessages": st.integers(),
        "VisibilityTimeout": st.integers(),
        "WaitTimeSeconds": st.integers(),
        "ReceiveRequestAttemptId": TEXTS,
        "AttributeNames": st.lists(TEXTS, max_size=3),
        "MessageAttributeNames": st.lists(TEXTS, max_size=3),
        "MessageSystemAttributeNames": st.lists(TEXTS, max_size=3),
    },
)
DELETIONS = st.fixed_dictionaries(
    {"QueueUrl": TEXTS, "Entries": st.lists(st.fixed_dictionaries({"Id": TEXTS, "ReceiptHandle": TEXTS}), max_size=10)}
)
EXTENSIONS = st.fixed_dictionaries(
    {
        "QueueUrl": TEXTS,
        "Entries": st.lists(
            st.fixed_dictionaries({"Id": TEXTS, "ReceiptHandle": TEXTS}, optional={"VisibilityTimeout": st.integers()}),
            max_size=10,
        ),
    }
)
MODELS = {service: botocore.session.get_session().get_service_model(service) for service in ("sns", "sqs")}


def stock_body(service: str, operation: str, parameters: dict[str, Any]) -> bytes:
    """The bytes that botocore sends."""
    model = MODELS[service].operation_model(operation)
    serialized = create_serializer(model.service_model.resolved_protocol).serialize_to_request(parameters, model)
    request = AWSRequest("POST", "http://h/", headers=serialized["headers"], data=serialized["body"])
    body: Any = request.prepare().body
    return body.encode() if isinstance(body, str) else bytes(body)


def assert_the_same(service: str, operation: str, parameters: dict[str, Any]) -> None:
    try:
        body = BUILDERS[operation](parameters)
    except Unsupported:
        return
    assert body == stock_body(service, operation, parameters)


@given(PUBLICATIONS)
def test_publications_are_written_the_same(parameters: dict[str, Any]) -> None:
    assert_the_same("sns", "PublishBatch", parameters)


@given(RECEIPTS)
def test_receives_are_written_the_same(parameters: dict[str, Any]) -> None:
    assert_the_same("sqs", "ReceiveMessage", parameters)


@given(DELETIONS)
def test_deletes_are_written_the_same(parameters: dict[str, Any]) -> None:
    assert_the_same("sqs", "DeleteMessageBatch", parameters)


@given(EXTENSIONS)
def test_extensions_are_written_the_same(parameters: dict[str, Any]) -> None:
    assert_the_same("sqs", "ChangeMessageVisibilityBatch", parameters)


@pytest.mark.parametrize("text", ["{}", "a b+c%~*", "한국어", "😀\n\t\r", "".join(map(chr, range(1, 0x250)))])
def test_what_the_relay_sends_takes_the_lean_path(text: str) -> None:
    """Few distinct bytes and many, which are escaped in two ways."""
    entry = {
        "Id": "0",
        "Message": text,
        "MessageGroupId": text,
        "MessageDeduplicationId": "d",
        "MessageAttributes": {"type": {"DataType": "String", "StringValue": text}},
    }
    parameters = {"TopicArn": "arn", "PublishBatchRequestEntries": [entry] * 10}
    assert request_bodies.publish_batch(parameters) == stock_body("sns", "PublishBatch", parameters)


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("PublishBatch", {"TopicArn": "t", "PublishBatchRequestEntries": []}),
        ("PublishBatch", {"TopicArn": "t"}),
        ("PublishBatch", {"TopicArn": "t", "PublishBatchRequestEntries": [{"Id": "0", "Message": b"bytes"}]}),
        ("PublishBatch", {"TopicArn": "t", "PublishBatchRequestEntries": [{"Id": "0", "Message": "\ud800"}]}),
        ("PublishBatch", {"TopicArn": "t", "PublishBatchRequestEntries": [{"Id": "0", "Message": "\0"}]}),
        ("PublishBatch", {"TopicArn": "t", "PublishBatchRequestEntries": [{"Message": "m"}]}),
        ("PublishBatch", {"TopicArn": "t", "PublishBatchRequestEntries": [{"Id": "0", "Message": "m", "New": "x"}]}),
        ("ReceiveMessage", {"QueueUrl": "q", "WaitTimeSeconds": True}),
        ("ReceiveMessage", {"WaitTimeSeconds": 1}),
        ("ReceiveMessage", {"QueueUrl": "q", "MessageAttributeNames": "All"}),
        ("DeleteMessageBatch", {"QueueUrl": "q", "Entries": [{"Id": "0"}]}),
        ("DeleteMessageBatch", {"QueueUrl": None, "Entries": [{"Id": "0", "ReceiptHandle": "r"}]}),
        ("ChangeMessageVisibilityBatch", {"QueueUrl": "q", "Entries": [{"Id": "0", "ReceiptHandle": "r"}]}),
    ],
)
def test_what_is_not_known_is_left_to_the_stock_client(operation: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        BUILDERS[operation](parameters)


@pytest.mark.parametrize("path", ["", "/base/path", "/a~%2F/c/"])
@pytest.mark.parametrize("method", CALLS)
async def test_requests_are_the_same_on_the_wire(method: str, path: str) -> None:
    service, parameters = CALLS[method]
    async with (
        scripted_server(answering(http_answer("200 OK", "{}"))) as server,
        both_clients(service, server.url + path) as pair,
    ):
        for client in pair:
            await outcome(client, method, parameters)
    theirs, ours = server.requests
    assert (ours.line, ours.body) == (theirs.line, theirs.body)
    changing = {"x-amz-date", "authorization", "amz-sdk-invocation-id"}
    assert ours.headers.keys() == theirs.headers.keys()
    assert {name: ours.headers[name] for name in ours.headers.keys() - changing} == {
        name: theirs.headers[name] for name in theirs.headers.keys() - changing
    }
    for request in (theirs, ours):
        assert request.headers["authorization"] == authorization(request, server.url, service)


def authorization(request: Request, url: str, service: str) -> str:
    """How botocore signs what arrived."""
    signed = re.findall(r"SignedHeaders=([^,]+)", request.headers["authorization"])[0].split(";")
    again = AWSRequest(
        "POST",
        url + request.line.split()[1],
        headers={name: request.headers[name] for name in signed},
        data=request.body,
    )
    moment = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    with patch("botocore.auth.get_current_datetime", lambda: moment.replace(tzinfo=None)):
        SigV4Auth(ReadOnlyCredentials("test", "test", None), service, "us-east-1").add_auth(again)
    return str(again.headers["Authorization"])
