"""The AWS SDK's session: independent of the environment for LocalStack, configured by it on AWS."""

from pathlib import Path
from typing import Any

import pytest

from event_trio.broker import aws_session
from event_trio.broker.aws import Aws, ensure_usable, sqs
from event_trio.errors import ConfigurationError

LOCAL = ["http://127.0.0.1:4566", "http://localstack:4566", "https://localhost.localstack.cloud:4566"]
NOWHERE = "/nowhere/at/all"
# Each of these stops the SDK, or takes it elsewhere, where it reads them.
HOSTILE = {
    "AWS_PROFILE": "work",
    "AWS_DEFAULT_PROFILE": "work",
    "AWS_CA_BUNDLE": NOWHERE,
    "REQUESTS_CA_BUNDLE": NOWHERE,
    "CURL_CA_BUNDLE": NOWHERE,
    "AWS_CONFIG_FILE": NOWHERE,
    "AWS_SHARED_CREDENTIALS_FILE": NOWHERE,
    "AWS_SESSION_TOKEN": "stolen",
    "AWS_DEFAULT_REGION": "mars-1",
    "AWS_ENDPOINT_URL": "http://elsewhere.example",
    "AWS_ENDPOINT_URL_SQS": "http://elsewhere.example",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_RETRY_MODE": "sometimes",
    "AWS_MAX_ATTEMPTS": "many",
    "AWS_DEFAULTS_MODE": "odd",
    "AWS_STS_REGIONAL_ENDPOINTS": "odd",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "odd",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "odd",
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "odd",
    "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": "odd",
    "AWS_METADATA_SERVICE_TIMEOUT": "odd",
    "AWS_CSM_ENABLED": "true",
    "AWS_CSM_PORT": "odd",
    "AWS_DATA_PATH": NOWHERE,
    "HTTP_PROXY": "http://proxy.example:3128",
    "HTTPS_PROXY": "socks5://proxy.example:3128",
    "ALL_PROXY": "socks5://proxy.example:3128",
}
CONFIG = f"[default]\nca_bundle = {NOWHERE}\nregion = mars-1\ncredential_process = /bin/false\ncli_pager = x\n"


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with every variable set, and with invalid files."""
    aws_session._local_session.cache_clear()
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(CONFIG)
    (tmp_path / ".aws/credentials").write_text("neither ini\nnor = [anything")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


async def made(endpoint_url: str | None) -> Any:
    """The configuration, endpoint and credentials that the SDK would use."""
    async with sqs(Aws(endpoint_url=endpoint_url)) as client:
        found: Any = client
        credentials = await found._request_signer._credentials.get_frozen_credentials()
        return found.meta, found._endpoint.http_session, credentials


@pytest.mark.parametrize("endpoint_url", LOCAL)
async def test_localstack_ignores_the_sdk_s_files_and_variables(
    endpoint_url: str, hostile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variables in ({}, HOSTILE):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        meta, session, credentials = await made(endpoint_url)
        assert (meta.endpoint_url, meta.region_name) == (endpoint_url, "us-east-1")
        assert (credentials.access_key, credentials.secret_key, credentials.token) == ("test", "test", None)
        assert session._proxy_config.proxy_url_for(endpoint_url) is None
        aws_session._local_session.cache_clear()


@pytest.mark.parametrize(
    ("key", "secret", "used"),
    [("", "", "test"), ("", "x", "test"), ("x", "", "test"), ("111122223333", "x", "111122223333")],
)
async def test_localstack_s_account_is_chosen_by_the_access_key(
    key: str, secret: str, used: str, hostile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    assert (await made(LOCAL[0]))[2].access_key == used


@pytest.mark.parametrize("endpoint_url", [None, "https://vpce-1.sqs.us-east-1.vpce.amazonaws.com"])
async def test_on_aws_the_environment_applies(endpoint_url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    aws_session._configured_session.cache_clear()
    meta, session, credentials = await made(endpoint_url)
    assert credentials.access_key == "AKIAREAL"
    assert session._proxy_config.proxy_url_for(meta.endpoint_url) == "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_PROFILE", "work"), ("AWS_CA_BUNDLE", NOWHERE), ("AWS_MAX_ATTEMPTS", "many")]
)
async def test_on_aws_an_unusable_configuration_is_reported(
    name: str, value: str, hostile: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    aws_session._configured_session.cache_clear()
    with pytest.raises(ConfigurationError, match="the AWS SDK cannot use its configuration"):
        await ensure_usable(Aws())
    await ensure_usable(Aws(endpoint_url=LOCAL[0]))


async def test_certificates_are_loaded_before_the_first_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    aws_session._configured_session.cache_clear()
    await ensure_usable(Aws())
    monkeypatch.setenv("AWS_CA_BUNDLE", NOWHERE)
    with pytest.raises(ConfigurationError, match="AWS_CA_BUNDLE"):
        await ensure_usable(Aws())


async def test_localstack_s_key_does_not_go_to_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL is not set"):
        await ensure_usable(Aws())
    await ensure_usable(Aws(endpoint_url=LOCAL[0]))
