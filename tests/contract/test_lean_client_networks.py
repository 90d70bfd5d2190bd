"""Proxies, certificates, redirects and event loops: what the environment defines applies to the lean client as well."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ProxyConnectionError, SSLError

from event_trio.broker import aws_session
from event_trio.broker.aws import Aws, sns, sqs
from event_trio.broker.lean import LeanClient
from tests.support.certificates import Certificate, self_signed
from tests.support.http_proxies import tunnel_proxy
from tests.support.lean_clients import CALLS, both_clients, outcome
from tests.support.scripted_http import Request, ScriptedServer, answering, http_answer, scripted_server
from tools.embedded.ports import LOOPBACK, free_port

PUBLISHED = (
    "<PublishBatchResponse><PublishBatchResult><Successful/><Failed/></PublishBatchResult>"
    "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"
)
ANSWERS = {"sns": http_answer("200 OK", PUBLISHED), "sqs": http_answer("200 OK", "{}", "x-amzn-RequestId: r")}
METHODS = ["publish_batch", "receive_message"]
HOST = "sns.example"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of AWS, and nothing else that the SDK would find."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    aws_session._configured_session.cache_clear()


@asynccontextmanager
async def of_the_factory(service: str) -> AsyncIterator[tuple[Any, Any]]:
    """The stock and the lean client as services on AWS have them."""
    factories: dict[str, Callable[[Aws], Any]] = {"sns": sns, "sqs": sqs}
    make = factories[service]
    async with make(Aws("eu-central-1", None, "stock")) as stock, make(Aws("eu-central-1")) as lean_one:
        assert isinstance(lean_one, LeanClient)
        yield stock, lean_one


async def assert_the_same(method: str) -> Any:
    """Both clients, twice; the outcome."""
    service, parameters = CALLS[method]
    async with of_the_factory(service) as pair:
        outcomes = [await outcome(client, method, parameters) for client in pair for _ in range(2)]
    assert outcomes[0] == outcomes[1] == outcomes[2] == outcomes[3]
    return outcomes[0]


def without_what_changes(request: Request) -> tuple[str, dict[str, str], bytes]:
    # The first client of a session says in the user agent where credentials were found.
    changing = ("x-amz-date", "authorization", "amz-sdk-invocation-id", "user-agent")
    return request.line, {name: text for name, text in request.headers.items() if name not in changing}, request.body


@pytest.mark.parametrize("method", METHODS)
async def test_http_proxy(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service, _ = CALLS[method]
    async with scripted_server(answering(ANSWERS[service])) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//user:pass%20word@"))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{HOST}:4566")
        assert "ResponseMetadata" in await assert_the_same(method)
    assert len(proxy.requests) == 4
    first, *others = map(without_what_changes, proxy.requests)
    assert first[0] == f"POST http://{HOST}:4566/ HTTP/1.1"
    assert first[1]["proxy-authorization"].startswith("Basic ")
    assert others == [first] * 3


@pytest.mark.parametrize("method", METHODS)
async def test_no_proxy(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service, _ = CALLS[method]
    async with scripted_server(answering(ANSWERS[service])) as server:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        assert "ResponseMetadata" in await assert_the_same(method)
    assert len(server.requests) == 4


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("method", METHODS)
async def test_https_proxy(method: str, trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel through the proxy to a server whose certificate is verified."""
    certificate = self_signed(tmp_path)
    service, _ = CALLS[method]
    if trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate.bundle))
    async with scripted_server(answering(ANSWERS[service]), tls=certificate.server) as server, tunnel_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        found = await assert_the_same(method)
    assert "ResponseMetadata" in found if trusted else found[0] is SSLError
    port = server.url.rpartition(":")[2]
    assert len(proxy.requests) >= 2
    assert {request.line for request in proxy.requests} == {f"CONNECT 127.0.0.1:{port} HTTP/1.1"}


@pytest.mark.parametrize("trust", ["the bundle", "anybody", "the public authorities"])
async def test_certificates(trust: str, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    verify = {"the bundle": str(certificate.bundle), "anybody": False, "the public authorities": True}[trust]
    async with (
        scripted_server(answering(ANSWERS["sns"]), tls=certificate.server) as secure,
        both_clients("sns", secure.url, verify=verify) as (stock, before_it),
    ):
        ours, theirs = await outcome(before_it, *_call("publish_batch")), await outcome(stock, *_call("publish_batch"))
    if trust == "the public authorities":
        assert ours[0] is theirs[0] is SSLError
    else:
        assert ours == theirs
        assert "Successful" in ours


async def test_tls_to_a_server_without_it() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(answer, LOOPBACK, 0)
    url = f"https://{LOOPBACK}:{listener.sockets[0].getsockname()[1]}"
    async with listener, both_clients("sns", url, verify=True) as (stock, before_it):
        assert (
            (await outcome(before_it, *_call("publish_batch")))[0]
            is (await outcome(stock, *_call("publish_batch")))[0]
            is SSLError
        )


async def test_a_proxy_of_the_configuration() -> None:
    async with (
        scripted_server(answering(ANSWERS["sns"])) as server,
        both_clients("sns", "http://sns.example:4566", proxies={"http": server.url}) as (stock, before_it),
    ):
        assert await outcome(before_it, *_call("publish_batch")) == await outcome(stock, *_call("publish_batch"))
    ours, theirs = server.requests
    assert ours.line == theirs.line == "POST http://sns.example:4566/ HTTP/1.1"
    assert ours.headers.keys() == theirs.headers.keys()
    assert ours.body == theirs.body


async def test_a_proxy_that_is_not_there() -> None:
    proxies = {"http": f"http://{LOOPBACK}:{free_port()}"}
    async with both_clients("sns", "http://sns.example:4566", proxies=proxies) as (stock, before_it):
        ours = await outcome(before_it, *_call("publish_batch"))
        assert ours == await outcome(stock, *_call("publish_batch"))
        assert ours[0] is ProxyConnectionError


@pytest.mark.parametrize("how", ["variable", "file"])
@pytest.mark.parametrize("method", METHODS)
async def test_ca_bundle(method: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    if how == "variable":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate.bundle))
    else:
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws/config").write_text(f"[default]\nca_bundle = {certificate.bundle}\n")
    assert "ResponseMetadata" in await _over_tls(method, certificate, monkeypatch)


async def test_without_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await _over_tls("publish_batch", self_signed(tmp_path), monkeypatch))[0] is SSLError


@pytest.mark.parametrize("fault", [{"host": "elsewhere.example"}, {"expired": True}])
async def test_a_certificate_that_is_not_valid(
    fault: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path, **fault)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate.bundle))
    assert (await _over_tls("receive_message", certificate, monkeypatch))[0] is SSLError


async def test_a_client_certificate(tmp_path: Path) -> None:
    """The server demands one that it knows."""
    certificate = self_signed(tmp_path)
    certificate.server.verify_mode = ssl.CERT_REQUIRED
    certificate.server.load_verify_locations(certificate.bundle)
    files = (str(certificate.bundle), str(tmp_path / "key.pem"))
    async with scripted_server(answering(ANSWERS["sns"]), tls=certificate.server) as server:
        options = {"verify": str(certificate.bundle), "client_cert": files}
        async with both_clients("sns", server.url, **options) as pair:
            assert [await _works(client) for client in pair] == [True, True]
        async with both_clients("sns", server.url, verify=str(certificate.bundle)) as pair:
            assert [await _works(client) for client in pair] == [False, False]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_redirects(status: str) -> None:
    """The stock client follows them."""

    async def redirect(request: Request, _: Any, writer: asyncio.StreamWriter) -> None:
        elsewhere = "/elsewhere" in request.line
        writer.write(ANSWERS["sns"] if elsewhere else http_answer(status, "", "Location: /elsewhere"))

    async with scripted_server(redirect) as server, both_clients("sns", server.url) as (stock, before_it):
        calls = [await outcome(client, *_call("publish_batch")) for client in (stock, before_it)]
    assert calls[0] == calls[1]
    assert "Successful" in calls[0]


def test_an_event_loop_without_happy_eyeballs() -> None:
    """As uvloop's, which takes no such arguments."""

    class Loop(asyncio.SelectorEventLoop):
        async def create_connection(self, *arguments: Any, **options: Any) -> Any:
            assert not options.keys() & {"happy_eyeballs_delay", "interleave"}
            return await super().create_connection(*arguments, **options)

    async def call() -> Any:
        async with scripted_server(answering(ANSWERS["sns"])) as server, both_clients("sns", server.url) as pair:
            return await outcome(pair[1], *_call("publish_batch"))

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert "Successful" in runner.run(call())


async def _over_tls(method: str, certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Any:
    async with AsyncExitStack() as stack:
        server: ScriptedServer = await stack.enter_async_context(
            scripted_server(answering(ANSWERS[CALLS[method][0]]), tls=certificate.server)
        )
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        return await assert_the_same(method)


async def _works(client: Any) -> bool:
    return "Successful" in await outcome(client, *_call("publish_batch"))


def _call(method: str) -> tuple[str, dict[str, Any]]:
    return method, CALLS[method][1]
