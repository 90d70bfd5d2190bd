"""Generated answers: where the lean client's parsers answer, botocore's parsers answer the same."""

import json
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from event_trio.broker.lean.acceptances import scan
from event_trio.broker.lean.answers import METADATA, READERS, parse_publications

HEADERS = {"x-amzn-requestid": "r-1"}
MODELS = {service: botocore.session.get_session().get_service_model(service) for service in ("sns", "sqs")}
# What XML 1.0 can carry. Line ends are normalised by any parser.
CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
TEXTS = st.text(CHARACTERS, max_size=30)
SUCCESSES = st.fixed_dictionaries({"Id": TEXTS, "MessageId": TEXTS}, optional={"SequenceNumber": TEXTS, "New": TEXTS})
FAILURES = st.fixed_dictionaries(
    {"Id": TEXTS, "Code": TEXTS, "SenderFault": st.sampled_from(["true", "false"])}, optional={"Message": TEXTS}
)
LISTS = st.fixed_dictionaries(
    {}, optional={"Successful": st.lists(SUCCESSES, max_size=4), "Failed": st.lists(FAILURES, max_size=4)}
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


NULLABLE = st.one_of(st.text(max_size=8), st.none())
ATTRIBUTE = st.fixed_dictionaries({}, optional={"StringValue": NULLABLE, "DataType": NULLABLE})
MESSAGE = {
    "MessageId": NULLABLE,
    "Body": NULLABLE,
    "Attributes": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    "MessageAttributes": st.dictionaries(st.text(max_size=5), ATTRIBUTE, max_size=3),
}
HANDLE = {"Id": NULLABLE}
FAULT = {"Id": NULLABLE, "Code": NULLABLE, "Message": NULLABLE, "SenderFault": st.booleans()}


def documents(**members: dict[str, Any]) -> st.SearchStrategy[Any]:
    """JSON answers with lists of entries that have these members; in half of them one thing may be anything."""
    plain = {name: st.lists(st.fixed_dictionaries({}, optional=entry), max_size=3) for name, entry in members.items()}
    odd = {
        name: st.lists(
            st.fixed_dictionaries({}, optional={member: st.one_of(text, ANYTHING) for member, text in entry.items()}),
            max_size=2,
        )
        for name, entry in members.items()
    }
    optional = {name: st.one_of(whole, ANYTHING) for name, whole in odd.items()} | {"New": ANYTHING}
    return st.one_of(st.fixed_dictionaries({}, optional=plain), st.fixed_dictionaries({}, optional=optional), ANYTHING)


def stock(service: str, operation: str, body: bytes) -> Any:
    """The answer of botocore's parser, without what the client adds to it."""
    model = MODELS[service].operation_model(operation)
    parser = create_parser(model.service_model.resolved_protocol)
    shape: Any = model.output_shape
    answer: Any = parser.parse({"headers": HEADERS, "body": body, "status_code": 200}, shape)
    for name in ("HTTPStatusCode", "HTTPHeaders"):
        answer[METADATA].pop(name)
    return answer


def assert_the_same(service: str, operation: str, body: bytes) -> None:
    ours = READERS[operation](body, HEADERS)
    if ours is not None:
        assert ours == stock(service, operation, body)


@given(LISTS, st.sampled_from(["", ' xmlns="http://sns.amazonaws.com/doc/2010-03-31/"']), st.booleans())
def test_publications(lists: dict[str, Any], namespace: str, blanks: bool) -> None:
    result = "".join(f"<{name}>{''.join(map(_member, entries))}</{name}>" for name, entries in lists.items())
    metadata = "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata>"
    text = (
        f"<PublishBatchResponse{namespace}><PublishBatchResult>{result}</PublishBatchResult>{metadata}"
        "</PublishBatchResponse>"
    )
    body = (text.replace("></", ">\n</") if blanks else text).encode()
    assert_the_same("sns", "PublishBatch", body)
    known = all("New" not in entry for entry in lists.get("Successful", []))
    assert (READERS["PublishBatch"](body, HEADERS) is not None) is known, "ordinary answers take the lean path"


PLAIN_TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="<>&"), max_size=12)
ACCEPTED = st.fixed_dictionaries(
    {"Id": PLAIN_TEXTS, "MessageId": PLAIN_TEXTS}, optional={"SequenceNumber": PLAIN_TEXTS}
)
PIECES = st.one_of(
    st.sampled_from(["<member>", "</member>", "<Failed/>", "<Id>1</Id>", "&lt;", "&", "]]>", "<!-- -->", "\r\n", "\f"]),
    st.text(max_size=3),
)


@st.composite
def acceptances(draw: st.DrawFn) -> str:
    """An answer that accepts every entry, with the fields of an entry in any order."""
    gap = draw(st.sampled_from(["", "\n", "\n  "]))
    members = [
        gap.join([f"<{name}>{value}</{name}>" for name, value in draw(st.permutations(list(entry.items())))])
        for entry in draw(st.lists(ACCEPTED, max_size=10))
    ]
    declaration = draw(st.sampled_from(["", "<?xml version='1.0' encoding='utf-8'?>\n", '<?xml version="1.0"?>']))
    namespace = draw(st.sampled_from(["", ' xmlns="http://sns.amazonaws.com/doc/2010-03-31/"']))
    failed = draw(st.sampled_from(["", "<Failed/>", "<Failed />", "<Failed></Failed>"]))
    parts = ["<Successful>", *(f"<member>{gap}{member}{gap}</member>" for member in members), "</Successful>"]
    result = gap.join(draw(st.sampled_from([[failed, *parts], [*parts, failed]])))
    metadata = f"<ResponseMetadata>{gap}<RequestId>r-1</RequestId>{gap}</ResponseMetadata>"
    return (
        f"{declaration}<PublishBatchResponse{namespace}>{gap}<PublishBatchResult>{gap}{result}{gap}"
        f"</PublishBatchResult>{gap}{metadata}{gap}</PublishBatchResponse>{gap}"
    )


@given(acceptances())
def test_the_scanner_reads_acceptances_as_the_parser_does(text: str) -> None:
    answer = scan(text.encode())
    assert answer is not None
    assert answer == parse_publications(text.encode()) == stock("sns", "PublishBatch", text.encode())


@given(acceptances(), st.data())
def test_the_scanner_leaves_to_the_parser_what_it_does_not_know(text: str, data: st.DataObject) -> None:
    """One slice of an ordinary answer is replaced by something else."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + data.draw(st.sampled_from([0, 1, 5, 60, 300])))))
    body = (text[:start] + data.draw(PIECES) + text[end:]).encode(errors="replace")
    answer = scan(body)
    if answer is not None:
        assert answer == parse_publications(body) == stock("sns", "PublishBatch", body)


@given(documents(Messages=MESSAGE))
def test_messages(document: Any) -> None:
    assert_the_same("sqs", "ReceiveMessage", json.dumps(document).encode())


@given(documents(Successful=HANDLE, Failed=FAULT))
def test_batches_on_receipt_handles(document: Any) -> None:
    for operation in ("DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
        assert_the_same("sqs", operation, json.dumps(document).encode())


def _member(entry: dict[str, str]) -> str:
    return f"<member>{''.join(f'<{name}>{escape(value)}</{name}>' for name, value in entry.items())}</member>"
