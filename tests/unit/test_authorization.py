"""When a service may run without authentication, and the roles of routes."""

from errno import EACCES
from pathlib import Path

import pytest
from pydantic import SecretStr

from event_trio.errors import ConfigurationError
from event_trio.http.authorization import NoAuthenticator, RequireRole, TokenAuthenticator, authenticator
from event_trio.http.tokens import Role
from event_trio.settings import ServiceSettings
from tests.support.tokens import AUDIENCE, ISSUER, Issuer


def settings(**given: object) -> ServiceSettings:
    return ServiceSettings(database_url=SecretStr("postgresql://u@x/d"), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_authentication_may_be_off_on_loopback(host: str) -> None:
    assert isinstance(authenticator(settings(http_host=host)), NoAuthenticator)


def test_authentication_may_be_off_in_a_local_environment() -> None:
    assert isinstance(authenticator(settings(http_host="0.0.0.0", environment="local")), NoAuthenticator)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "orders.example.com"])
def test_authentication_is_required_on_other_addresses(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"AUTH_JWKS is not set.*HTTP_HOST.*ENVIRONMENT=local"):
        authenticator(settings(http_host=host))


def test_a_missing_key_set_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="neither a file nor a URL"):
        authenticator(settings(auth_jwks=str(tmp_path / "no"), auth_issuer=ISSUER, auth_audience=AUDIENCE))


@pytest.mark.parametrize(("issuer", "audience"), [(None, AUDIENCE), (ISSUER, None)])
def test_tokens_need_an_issuer_and_an_audience(tmp_path: Path, issuer: str | None, audience: str | None) -> None:
    path = Issuer().write_key_set(tmp_path)
    with pytest.raises(ConfigurationError, match="AUTH_ISSUER and AUTH_AUDIENCE"):
        authenticator(settings(auth_jwks=path, auth_issuer=issuer, auth_audience=audience))


@pytest.mark.parametrize("given", [{"auth_issuer": ISSUER}, {"auth_audience": AUDIENCE}])
@pytest.mark.parametrize("surroundings", [{}, {"environment": "local"}, {"http_host": "0.0.0.0"}])
def test_issuer_or_audience_without_key_set_is_a_configuration_error(
    given: dict[str, str], surroundings: dict[str, str]
) -> None:
    (name,) = given
    with pytest.raises(ConfigurationError, match=f"{name.upper()} is set and AUTH_JWKS is not"):
        authenticator(settings(**given, **surroundings))


async def test_a_complete_configuration_verifies_tokens(tmp_path: Path) -> None:
    issuer = Issuer()
    path = issuer.write_key_set(tmp_path)
    known = authenticator(settings(http_host="0.0.0.0", auth_jwks=path, auth_issuer=ISSUER, auth_audience=AUDIENCE))
    assert isinstance(known, TokenAuthenticator)
    assert (await known.authenticate(issuer.token("c", "service"))).roles == {Role.SERVICE}


def test_a_route_requires_at_least_one_role() -> None:
    with pytest.raises(ValueError, match="at least one role"):
        RequireRole()


@pytest.mark.parametrize(
    ("source", "content", "said"),
    [
        ("ftp://keys.example/jwks", None, "AUTH_JWKS is wrong: must be a URL"),
        ("https://keys example/jwks", None, "AUTH_JWKS is wrong"),
        ("https://keys.example:high/jwks", None, "AUTH_JWKS is wrong"),
        ("keys.json", None, "neither a file nor a URL"),
        ("keys.json", "no JSON", "which is not a key set"),
        ("keys.json", "[]", "which is not a key set"),
        ("keys.json", '{"keys": []}', "which is not a key set: it contains no public signing key"),
        ("keys.json", '{"keys": ["a"]}', "which is not a key set"),
        ("keys.json", "[" * 100_000, "which is not a key set: it is nested too deeply"),
        ("keys.json", '{"keys": ' + "9" * 5000 + "}", "which is not a key set"),
        ("k" * 5000, None, "which cannot be read: File name too long"),
        ("HTTP://keys.example:0/jwks", None, "AUTH_JWKS is wrong"),
    ],
)
def test_an_unreadable_key_set_is_reported_at_startup(
    source: str, content: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / source).write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        authenticator(settings(auth_jwks=source, auth_issuer="i", auth_audience="a"))


def test_the_proxy_and_certificates_of_the_key_set_are_validated_at_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings(auth_jwks="https://keys.example/jwks?p=1", auth_issuer="i", auth_audience="a")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy:1")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY is not a usable proxy"):
        authenticator(given)
    monkeypatch.setenv("NO_PROXY", "keys.example")
    authenticator(given)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        authenticator(given)


def test_a_key_set_in_an_inaccessible_folder_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(ConfigurationError, match="which cannot be read: Permission denied"):
        authenticator(settings(auth_jwks="/closed/keys.json", auth_issuer="i", auth_audience="a"))
