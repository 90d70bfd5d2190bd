"""Recorded answers: the lean client returns or raises what the stock client does, down to the last member."""

import gzip
import json
from typing import Any

import pytest

from tests.support.lean_clients import CALLS, both_clients, outcome
from tests.support.scripted_http import answering, http_answer, scripted_server

XML_HEADERS = ("Content-Type: text/xml", "x-amzn-RequestId: r-1", "Date: Thu, 26 Nov 2026 00:00:00 GMT")
JSON_HEADERS = ("Content-Type: application/x-amz-json-1.0", "x-amzn-RequestId: r-2", "X-Odd: a", "x-odd:  b ")
NAMESPACE = 'xmlns="http://sns.amazonaws.com/doc/2010-03-31/"'
METADATA = "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata>"
SUCCESS = "<member><MessageId>m-{0}</MessageId><Id>{0}</Id><SequenceNumber>1000{0}</SequenceNumber></member>"
FAILURE = (
    "<member><Id>2</Id><Code>InternalError</Code><Message>a &lt;b&gt; &#x41;<![CDATA[ & c]]></Message>"
    "<SenderFault>{}</SenderFault></member>"
)


def published(successful: str = "<Successful/>", failed: str = "<Failed/>", rest: str = METADATA) -> str:
    return (
        f"<PublishBatchResponse {NAMESPACE}><PublishBatchResult>{successful}{failed}</PublishBatchResult>{rest}"
        "</PublishBatchResponse>"
    )


def refusal(code: str, message: str = "no", kind: str = "Sender") -> str:
    error = f"<Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return f"<ErrorResponse {NAMESPACE}>{error}<RequestId>r-1</RequestId></ErrorResponse>"


TEN = f"<Successful>{''.join(SUCCESS.format(number) for number in range(10))}</Successful>"
PRETTY = '<?xml version="1.0"?>\n' + published(TEN).replace("><", ">\n  <")
SNS_ANSWERS = {
    "success": ("200 OK", published(TEN)),
    "success in lines": ("200 OK", PRETTY),
    "success with a prefix": (
        "200 OK",
        published(TEN).replace("<", "<s:").replace("<s:/", "</s:").replace("xmlns", "xmlns:s"),
    ),
    "partial failure": (
        "200 OK",
        published(TEN, f"<Failed>{FAILURE.format('true')}{FAILURE.format('false')}</Failed>"),
    ),
    "no list of failures": ("200 OK", published(TEN, "")),
    "unknown members": ("200 OK", published(TEN.replace("</member>", "<New>1</New></member>"), "<More>x</More>")),
    "an empty member": ("200 OK", published("<Successful><member><Id/><MessageId></MessageId></member></Successful>")),
    "two lists": ("200 OK", published(TEN + TEN)),
    "no metadata": ("200 OK", published(TEN, rest="")),
    "an empty request id": ("200 OK", published(TEN, rest="<ResponseMetadata><RequestId/></ResponseMetadata>")),
    "comments": ("200 OK", published(TEN).replace("<Id>", "<!-- c --><Id>1<!-- c -->")),
    "another answer": ("200 OK", f"<PublishResponse {NAMESPACE}><PublishResult/>{METADATA}</PublishResponse>"),
    "a gateway's page": ("200 OK", "<html><body>Welcome</body></html>"),
    "no XML": ("200 OK", "not XML"),
    "cut off": ("200 OK", published(TEN)[:-20]),
    "nothing": ("200 OK", ""),
    "a declared encoding": ("200 OK", '<?xml version="1.0" encoding="ISO-8859-1"?>' + published(TEN + "é")),
    "another success": ("202 Accepted", published(TEN)),
    "redirect": ("302 Found", "<html/>"),
    "throttling": ("400 Bad Request", refusal("Throttling", "Rate exceeded")),
    "throttled exception": ("400 Bad Request", refusal("ThrottlingException", "Rate exceeded")),
    "KMS throttles": ("400 Bad Request", refusal("KMSThrottling", "Rate exceeded")),
    "invalid parameter": ("400 Bad Request", refusal("InvalidParameter", "Invalid parameter: Message too long")),
    "too long": (
        "400 Bad Request",
        refusal("BatchRequestTooLong", "Batch requests cannot be longer than 262144 bytes"),
    ),
    "expired token": (
        "403 Forbidden",
        refusal("ExpiredToken", "The security token included in the request is expired"),
    ),
    "clock skew": ("403 Forbidden", refusal("SignatureDoesNotMatch", "Signature expired: 20261126T000000Z")),
    "access denied": ("403 Forbidden", refusal("AuthorizationError", "User is not authorized")),
    "no topic": ("404 Not Found", refusal("NotFound", "Topic does not exist")),
    "unknown code": ("400 Bad Request", refusal("NeverSeen")),
    "internal error": ("500 Internal Server Error", refusal("InternalFailure", kind="Receiver")),
    "unavailable": ("503 Service Unavailable", refusal("ServiceUnavailable", kind="Receiver")),
    "a page of an error": ("502 Bad Gateway", "<html><body>Bad Gateway</body></html>"),
    "an empty error": ("503 Service Unavailable", ""),
    "an error that is no XML": ("400 Bad Request", "no"),
    "an error without a code": (
        "400 Bad Request",
        f"<ErrorResponse {NAMESPACE}><RequestId>r</RequestId></ErrorResponse>",
    ),
}

MESSAGE = {
    "MessageId": "m",
    "ReceiptHandle": "h",
    "MD5OfBody": "5",
    "Body": '{"name": "한국어 😀 \\" \\u0000"}',
    "Attributes": {"MessageGroupId": "g", "SentTimestamp": "1", "New": "x"},
    "MessageAttributes": {"type": {"StringValue": "order.placed", "DataType": "String"}},
    "MD5OfMessageAttributes": "6",
}
BINARY = {"MessageAttributes": {"raw": {"BinaryValue": "AAEC", "DataType": "Binary"}}}
RECEIVED: dict[str, Any] = {
    "none": {},
    "an empty list": {"Messages": []},
    "messages": {"Messages": [MESSAGE] * 10},
    "no attributes": {"Messages": [{"MessageId": "m", "Body": "b"}]},
    "a binary attribute": {"Messages": [MESSAGE | BINARY]},
    "a list attribute": {"Messages": [MESSAGE | {"MessageAttributes": {"l": {"StringListValues": ["a"]}}}]},
    "a null member": {"Messages": [MESSAGE | {"Body": None, "Attributes": None}]},
    "a null attribute": {"Messages": [MESSAGE | {"MessageAttributes": {"a": {"StringValue": None, "DataType": "S"}}}]},
    "an unknown member": {"Messages": [MESSAGE | {"New": 1}], "More": True},
    "null messages": {"Messages": None},
    "odd messages": {"Messages": "none"},
    "an odd message": {"Messages": ["m"]},
    "odd attributes": {"Messages": [MESSAGE | {"Attributes": ["a"]}]},
    "a list": [],
    "a number": 7,
    "null": None,
}
CHANGED: dict[str, Any] = {
    "all": {"Successful": [{"Id": "0"}], "Failed": []},
    "partial failure": {
        "Successful": [{"Id": "1"}],
        "Failed": [{"Id": "0", "Code": "ReceiptHandleIsInvalid", "Message": "expired", "SenderFault": True}],
    },
    "no failures": {"Successful": [{"Id": "0"}]},
    "nothing": {},
    "a null message": {"Failed": [{"Id": "0", "Code": "c", "Message": None, "SenderFault": False}]},
    "unknown members": {"Successful": [{"Id": "0", "New": 1}], "More": 2},
    "null lists": {"Successful": None, "Failed": None},
    "an odd entry": {"Successful": ["0"], "Failed": []},
}
SQS_METHODS = ("receive_message", "delete_message_batch", "change_message_visibility_batch")
SQS_FAILURES: dict[str, tuple[str, Any, str]] = {
    "throttled": ("400 Bad Request", {"__type": "com.amazonaws.sqs#RequestThrottled", "message": "slow"}, ""),
    "no queue": (
        "400 Bad Request",
        {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "none"},
        "x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender",
    ),
    "expired token": (
        "403 Forbidden",
        {"__type": "com.amazon.coral.service#ExpiredTokenException", "Message": "e"},
        "",
    ),
    "clock skew": ("403 Forbidden", {"__type": "InvalidSignatureException", "message": "Signature expired"}, ""),
    "no type": ("400 Bad Request", {"message": "no"}, ""),
    "a page": ("502 Bad Gateway", "<html><body>Bad Gateway</body></html>", ""),
    "an empty page": ("503 Service Unavailable", "", ""),
    "no JSON": ("400 Bad Request", "<no/>", ""),
    "a page of success": ("200 OK", "<html><body>Welcome</body></html>", ""),
    "an empty success": ("200 OK", "", ""),
    "not UTF-8": ("200 OK", b'{"Messages": "\xff"}', ""),
    "a control character": ("200 OK", b'{"Messages": [{"Body": "\x01"}]}', ""),
}


async def assert_the_same(method: str, answer: bytes) -> Any:
    """Twice each, for the first answer must not spoil the connection for the second."""
    service, parameters = CALLS[method]
    async with scripted_server(answering(answer)) as server, both_clients(service, server.url) as (stock, lean):
        theirs = [await outcome(stock, method, parameters) for _ in range(2)]
        ours = [await outcome(lean, method, parameters) for _ in range(2)]
        assert len(server.requests) == 4
    assert ours == theirs
    return ours[0]


@pytest.mark.parametrize("name", SNS_ANSWERS)
async def test_answers_of_sns(name: str) -> None:
    status, body = SNS_ANSWERS[name]
    await assert_the_same("publish_batch", http_answer(status, body, *XML_HEADERS))


@pytest.mark.parametrize("name", RECEIVED)
async def test_messages(name: str) -> None:
    body = json.dumps(RECEIVED[name], ensure_ascii=name == "messages")
    await assert_the_same("receive_message", http_answer("200 OK", body, *JSON_HEADERS))


@pytest.mark.parametrize("method", SQS_METHODS[1:])
@pytest.mark.parametrize("name", CHANGED)
async def test_batches_on_receipt_handles(name: str, method: str) -> None:
    await assert_the_same(method, http_answer("200 OK", json.dumps(CHANGED[name]), *JSON_HEADERS))


@pytest.mark.parametrize("method", SQS_METHODS)
@pytest.mark.parametrize("name", SQS_FAILURES)
async def test_failures_of_sqs(name: str, method: str) -> None:
    status, content, header = SQS_FAILURES[name]
    body = json.dumps(content) if isinstance(content, dict) else content
    await assert_the_same(method, http_answer(status, body, *JSON_HEADERS, *([header] if header else [])))


async def test_an_answer_without_a_request_id() -> None:
    """By which the queue knows that it is not SQS that answers."""
    answer = await assert_the_same("receive_message", http_answer("200 OK", '{"Messages": []}'))
    assert "RequestId" not in answer["ResponseMetadata"]


@pytest.mark.parametrize("method", CALLS)
async def test_an_answer_that_is_compressed_unasked(method: str) -> None:
    """Both ask for none, and neither reads it."""
    body = gzip.compress(published(TEN).encode() if method == "publish_batch" else b'{"Messages": []}')
    await assert_the_same(method, http_answer("200 OK", body, *XML_HEADERS, "Content-Encoding: gzip"))


@pytest.mark.parametrize("method", CALLS)
async def test_an_answer_in_chunks(method: str) -> None:
    body = published(TEN) if method == "publish_batch" else "{}"
    half = len(body) // 2
    chunks = f"{half:X};x=y\r\n{body[:half]}\r\n{len(body) - half:x}\r\n{body[half:]}\r\n0\r\nTrailer: t\r\n\r\n"
    answer = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-amzn-RequestId: r\r\n\r\n{chunks}".encode()
    assert "ResponseMetadata" in await assert_the_same(method, answer)


async def test_an_interim_answer() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + http_answer("200 OK", published(TEN), *XML_HEADERS)
    assert len((await assert_the_same("publish_batch", answer))["Successful"]) == 10


async def test_ten_successes_take_the_lean_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or all of the above would compare the stock client with itself."""
    for method, body in (("publish_batch", published(TEN)), ("receive_message", json.dumps(RECEIVED["messages"]))):
        service, parameters = CALLS[method]
        async with (
            scripted_server(answering(http_answer("200 OK", body, *JSON_HEADERS))) as server,
            both_clients(service, server.url) as (stock, lean),
        ):
            monkeypatch.setattr(stock, method, None)
            assert "ResponseMetadata" in await outcome(lean, method, parameters)
