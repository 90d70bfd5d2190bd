"""The lean client uses the stock client's endpoints, credentials, hooks and retries."""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.compat import HTTPHeaders
from botocore.exceptions import NoCredentialsError, ParamValidationError
from botocore.loaders import Loader, create_loader

from event_trio.broker.lean import lean
from event_trio.broker.lean.connection import RawAnswer
from tests.support.lean_clients import CALLS, both_clients, outcome
from tests.support.scripted_http import Request, ScriptedServer, answering, http_answer, scripted_server

PUBLISHED = http_answer(
    "200 OK",
    "<PublishBatchResponse><PublishBatchResult><Successful/><Failed/></PublishBatchResult>"
    "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>",
)
CONFIG = """
[default]
use_fips_endpoint = true
services = ours
[profile other]
services = ours
[services ours]
sns =
  endpoint_url = https://s.example/base
sqs =
  endpoint_url = https://q.example
"""
PROCESS = """
import datetime, json, secrets
soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
key = "AKIA" + secrets.token_hex(8)
print(json.dumps({"Version": 1, "AccessKeyId": key, "SecretAccessKey": key, "Expiration": soon.isoformat()}))
"""
METHOD, CALL = "publish_batch", CALLS["publish_batch"][1]


@pytest.fixture
def credentials_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, and nothing else that the SDK would find."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/other").write_text(CONFIG)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server(answering(PUBLISHED)) as found:
        yield found


@asynccontextmanager
async def on_aws(service: str, region: str, **config: Any) -> AsyncIterator[tuple[Any, Any]]:
    found = AioSession()
    # The descriptions of the services are read once; everything else is the session's own.
    found.register_component("data_loader", _loader())
    session = aioboto3.Session(region_name=region, botocore_session=found)
    clients: Any = session
    made = clients.client(service, config=AioConfig(**config))
    async with made as stock, lean(stock) as before_it:
        yield stock, before_it


@pytest.mark.parametrize("method", ["publish_batch", "receive_message"])
@pytest.mark.parametrize(
    ("region", "config", "variables"),
    [
        ("eu-central-1", {}, {}),
        ("cn-north-1", {}, {}),
        ("us-gov-west-1", {}, {}),
        ("us-east-1", {"use_fips_endpoint": True}, {}),
        ("us-east-1", {"use_dualstack_endpoint": True}, {}),
        ("us-east-1", {"use_fips_endpoint": True, "use_dualstack_endpoint": True}, {}),
        ("us-east-1", {}, {"AWS_USE_FIPS_ENDPOINT": "true"}),
        ("us-iso-east-1", {}, {}),
        ("eu-west-3", {}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
        ("us-east-2", {}, {"AWS_CONFIG_FILE": "~/.aws/other", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}),
        ("us-east-2", {}, {"AWS_CONFIG_FILE": "~/.aws/other", "AWS_PROFILE": "other"}),
        ("us-east-1", {}, {"AWS_ENDPOINT_URL": "https://e.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}),
        ("us-east-1", {}, {"AWS_ENDPOINT_URL": "https://elsewhere.example/base"}),
        ("us-east-1", {}, {"AWS_ENDPOINT_URL_SNS": "http://s.example:1", "AWS_ENDPOINT_URL_SQS": "http://q.example"}),
        ("us-east-1", {"user_agent_extra": "extra/1"}, {"AWS_SESSION_TOKEN": "token"}),
    ],
)
async def test_endpoints_and_regions(
    region: str,
    config: dict[str, Any],
    variables: dict[str, str],
    method: str,
    credentials_only: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is sent: what would be is kept."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    service, parameters = CALLS[method]
    theirs, ours = [], []

    def keep(request: Any, **_: Any) -> Any:
        theirs.append((request.url, {name: _text(value) for name, value in request.headers.items()}))
        response: Any = AioAWSResponse(request.url, 400, HTTPHeaders(), None)
        response._content = b"<x/>"
        return response

    async def keep_ours(_: Any, operation: Any, headers: dict[str, str], body: bytes) -> RawAnswer:
        ours.append((operation.url, headers))
        return RawAnswer(400, {}, b"<x/>")

    monkeypatch.setattr("event_trio.broker.lean.transport.Transport.send", keep_ours)
    async with on_aws(service, region, **config) as (stock, before_it):
        stock.meta.events.register_first(f"before-send.{service}", keep)
        await outcome(stock, method, parameters)
        await outcome(before_it, method, parameters)
    (their_url, their_headers), (our_url, our_headers) = theirs[0], ours[0]
    assert our_url == their_url
    changing = {"X-Amz-Date", "Authorization", "amz-sdk-invocation-id", "Content-Length"}
    assert {name: our_headers[name] for name in our_headers.keys() - changing} == {
        name: their_headers[name] for name in their_headers.keys() - changing
    }
    assert _scope(our_headers) == _scope(their_headers)


async def test_credentials_are_asked_for_at_every_call(server: ScriptedServer) -> None:
    """So that they are refreshed when the stock client's would be."""
    refreshed: list[str] = []

    async def refresh() -> dict[str, str]:
        refreshed.append(f"key-{len(refreshed)}")
        expiry = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()  # due at once
        return {"access_key": refreshed[-1], "secret_key": "s", "token": refreshed[-1], "expiry_time": expiry}

    async with both_clients("sns", server.url) as (stock, before_it):
        stock._request_signer._credentials = AioRefreshableCredentials.create_from_metadata(
            metadata=await refresh(), refresh_using=refresh, method="test"
        )
        for _ in range(2):
            await outcome(before_it, METHOD, CALL)
    used = [request.headers["x-amz-security-token"] for request in server.requests]
    assert used == ["key-1", "key-2"]
    assert [f"Credential={key}/" in server.requests[i].headers["authorization"] for i, key in enumerate(used)] == [
        True
    ] * 2


async def test_credentials_of_a_process_are_renewed_when_they_expire(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of roles are, which expire as well."""
    script = tmp_path / "credentials.py"
    script.write_text(PROCESS)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with on_aws("sns", "us-east-1") as (stock, before_it):
        for client in (before_it, before_it, stock, before_it):
            await outcome(client, METHOD, CALL)
    used = [request.headers["authorization"].split("Credential=")[1].split("/")[0] for request in server.requests]
    assert len(used) == len(set(used)) == 4


@pytest.mark.parametrize("options", [{"signature_version": UNSIGNED}, {"retries": {"mode": "adaptive"}}])
async def test_configurations_that_are_left_to_the_stock_client(
    options: dict[str, Any], server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("event_trio.broker.lean.transport.Transport.send", None)
    async with both_clients("sns", server.url, **options) as pair:
        assert await outcome(pair[0], METHOD, CALL) == await outcome(pair[1], METHOD, CALL)
    assert [request.body for request in server.requests] == [server.requests[0].body] * 2


async def test_without_credentials(server: ScriptedServer) -> None:
    async with both_clients("sns", server.url) as (stock, before_it):
        stock._request_signer._credentials = None
        assert (await outcome(before_it, METHOD, CALL))[0] is NoCredentialsError
    assert server.requests == []


async def test_a_refresh_that_fails(server: ScriptedServer) -> None:
    class Failing:
        async def get_frozen_credentials(self) -> None:
            raise OSError("no metadata service")

    async with both_clients("sns", server.url) as (stock, before_it):
        stock._request_signer._credentials = Failing()
        assert await outcome(before_it, METHOD, CALL) == await outcome(stock, METHOD, CALL)


async def test_retries_are_the_stock_client_s(server: ScriptedServer) -> None:
    """The first attempt is made by the lean path, the others by the stock client."""

    async def once(_: Request, __: Any, writer: Any) -> None:
        writer.write(http_answer("500 Internal Server Error", "") if len(server.requests) % 2 else PUBLISHED)

    server.behave = once
    retries = {"total_max_attempts": 3, "mode": "standard"}
    async with both_clients("sns", server.url, retries=retries) as (stock, before_it):
        ours, theirs = await outcome(before_it, METHOD, CALL), await outcome(stock, METHOD, CALL)
    assert ours == theirs
    assert ours["ResponseMetadata"]["RetryAttempts"] == 1
    assert len(server.requests) == 4


async def test_hooks_before_a_call_are_called(server: ScriptedServer) -> None:
    """The publisher learns by one whether a request was made; another may change it."""
    seen = []
    async with both_clients("sns", server.url) as (stock, before_it):
        stock.meta.events.register("before-call.sns.PublishBatch", lambda params, **_: seen.append(params["body"]))
        await outcome(before_it, METHOD, CALL)
        assert seen == [server.requests[0].body]
        stock.meta.events.register("before-call.sns", lambda params, **_: params["headers"].update({"X-Extra": "1"}))
        await outcome(before_it, METHOD, CALL)
        assert server.requests[1].headers["x-extra"] == "1"
        assert "x-extra" in server.requests[1].headers["authorization"]


@pytest.mark.parametrize(
    "parameters",
    [{}, CALL | {"PublishBatchRequestEntries": [{"Id": 7, "Message": "m"}]}, CALL | {"Unknown": 1}],
)
async def test_parameters_that_are_wrong(parameters: dict[str, Any], server: ScriptedServer) -> None:
    async with both_clients("sns", server.url) as (stock, before_it):
        ours = await outcome(before_it, METHOD, parameters)
        assert ours == await outcome(stock, METHOD, parameters)
        assert ours[0] is ParamValidationError
    assert server.requests == []


async def test_everything_else_is_the_stock_client_s(server: ScriptedServer) -> None:
    async with both_clients("sns", server.url) as (stock, before_it):
        assert before_it.meta is stock.meta
        assert before_it.exceptions.NotFoundException is stock.exceptions.NotFoundException
        assert before_it.get_topic_attributes == stock.get_topic_attributes
        with pytest.raises(AttributeError):
            await before_it.receive_message(QueueUrl="q")


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "RequestExpired"])
async def test_the_broker_s_clock_is_taken_over(code: str, server: ScriptedServer) -> None:
    """The stock client never does so: every call of a machine whose clock is wrong fails, until it is set."""
    refusal = f"<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>"
    there = datetime.now(UTC) + timedelta(hours=2)
    date = there.strftime("Date: %a, %d %b %Y %H:%M:%S GMT")
    server.behave = answering(http_answer("403 Forbidden", refusal, date))
    async with both_clients("sns", server.url) as (_, before_it):
        assert code in (await outcome(before_it, METHOD, CALL))[1]
        server.behave = answering(PUBLISHED)
        assert "Successful" in await outcome(before_it, METHOD, CALL)
    signed_at = datetime.strptime(server.requests[1].headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs(signed_at.timestamp() - time.time() - 7200) < 60


@cache
def _loader() -> Loader:
    return create_loader()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _scope(headers: dict[str, str]) -> tuple[str, str]:
    """Region, service and the names of the headers that were signed."""
    credential, names, _ = headers["Authorization"].split(", ")
    return credential.split("/", 2)[2], names
