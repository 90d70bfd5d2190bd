"""The lean client's signatures equal those of botocore's SigV4Auth for the same request, time and credentials."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from event_trio.broker.lean.signing import Signer

PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)
KEYS = st.text(PRINTABLE, min_size=1, max_size=40)
NAMES = st.from_regex(r"[a-z]{2}(-[a-z]{4,9}){1,2}-[1-9]", fullmatch=True)
# Header values have no line ends; spaces around and inside them are what canonical forms are about.
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
HEADERS = st.dictionaries(
    st.one_of(
        st.sampled_from(
            ["Content-Type", "X-Amz-Target", "x-amzn-query-mode", "User-Agent", "X-Amzn-Trace-Id", "X-Amz-Limit"]
        ),
        st.from_regex(r"X-[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True).filter(
            lambda name: name.lower() not in ("x-amz-date", "x-amz-security-token", "x-amz-content-sha256")
        ),
    ),
    VALUES,
    max_size=6,
).filter(lambda headers: len({name.lower() for name in headers}) == len(headers))
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(
    body=st.binary(max_size=2000),
    access=KEYS,
    secret=st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable()),
    token=st.one_of(st.none(), st.text(PRINTABLE, min_size=1, max_size=100)),
    region=NAMES,
    service=st.sampled_from(["sns", "sqs"]),
    headers=HEADERS,
    moments=st.lists(MOMENTS, min_size=1, max_size=3),
)
def test_botocore_signs_the_same(
    body: bytes,
    access: str,
    secret: str,
    token: str | None,
    region: str,
    service: str,
    headers: dict[str, str],
    moments: list[datetime],
) -> None:
    """Several times with one signer, for it keeps the key of a day."""
    credentials: Any = ReadOnlyCredentials(access, secret, token)
    clock: Iterator[float] = iter([])  # replaced before each signature
    signer = Signer(
        path="/",
        headers={"host": "h.example:4566", **headers},
        region=region,
        service=service,
        clock=lambda: next(clock),
    )
    for moment in moments:
        clock = iter([moment.timestamp()])
        ours = signer.sign(body, credentials)
        request = AWSRequest("POST", "http://h.example:4566/", headers=headers, data=body)
        with patch("botocore.auth.get_current_datetime", lambda moment=moment: moment.replace(tzinfo=None)):
            SigV4Auth(credentials, service, region).add_auth(request)
        theirs = {name: request.headers[name] for name in ours}
        assert ours == theirs
        assert ("X-Amz-Security-Token" in request.headers) == ("X-Amz-Security-Token" in ours)


def test_credentials_that_change_are_signed_with_at_once() -> None:
    signer = Signer(path="/", headers={"host": "h"}, region="us-east-1", service="sns", clock=lambda: 1.0)
    first, second = (_credentials(secret) for secret in ("one", "two"))
    signatures = [signer.sign(b"", credentials)["Authorization"] for credentials in (first, second, first)]
    assert signatures[0] != signatures[1]
    assert signatures[0] == signatures[2]


def test_a_small_difference_between_clocks_changes_nothing() -> None:
    signer = Signer(path="/", headers={"host": "h"}, region="us-east-1", service="sns", clock=lambda: 1000.0)
    signer.note_time(1100.0, tolerance_seconds=240.0)
    assert signer.offset_seconds == 0.0
    signer.note_time(2000.0, tolerance_seconds=240.0)
    assert signer.sign(b"", _credentials("b"))["X-Amz-Date"] == "19700101T003320Z"


def _credentials(secret: str) -> Any:
    return ReadOnlyCredentials("a", secret, None)
