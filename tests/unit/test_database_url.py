"""The database URL: accepted and rejected forms, and nothing else affects a connection."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from asyncpg.connect_utils import SSLMode, _parse_connect_dsn_and_args

from event_trio.database.url import InvalidDatabaseUrl, parse, with_password

URL = "postgresql://role:secret@db.example:6432/orders"
ODD = ["p@ss", "a#b", "a/b", "a?b", "100%", "%41", "a:b", "[x]", "a b", "ü비밀", "a&b=c+d", "\\'\""]


def understood(url: str, password: str | None = None) -> Any:
    """The addresses and parameters of the driver."""
    given = {"dsn": None, "passfile": None, "service": None, "servicefile": None, "krbsrvname": None}
    return _parse_connect_dsn_and_args(**given, **parse(url, password).arguments(), server_settings=None)


def test_the_parts_of_a_url() -> None:
    addresses, found = understood(URL)
    assert addresses == [("db.example", 6432)]
    assert (found.user, found.password, found.database) == ("role", "secret", "orders")
    assert found.sslmode is SSLMode.prefer


@pytest.mark.parametrize("password", ODD)
def test_any_password_encoded_or_separate(password: str) -> None:
    encoded = f"postgresql://role:{quote(password, safe='')}@h/d"
    assert understood(encoded)[1].password == password
    assert understood("postgresql://role@h/d", password)[1].password == password
    whole = with_password("postgresql://role@h/d?sslmode=require", password)
    assert understood(whole)[1].password == password
    assert understood(whole)[1].sslmode is SSLMode.require


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://r@h/d", ("h", 5432)),
        ("postgres://r@h:1/d", ("h", 1)),
        ("postgresql://r@[::1]:6/d", ("::1", 6)),
        ("postgresql://r@[2001:db8::1]/d", ("2001:db8::1", 5432)),
        ("postgresql://r@%2Fvar%2Frun%2Fpostgresql/d", "/var/run/postgresql/.s.PGSQL.5432"),
        ("postgresql://r@/d?host=/cloudsql/p:r:i", "/cloudsql/p:r:i/.s.PGSQL.5432"),
        ("postgresql://r@/d?host=/tmp", "/tmp/.s.PGSQL.5432"),
        ("postgresql://p@ss@h/d", ("h", 5432)),  # the last @ is the one
    ],
)
def test_hosts(url: str, address: object) -> None:
    assert understood(url)[0] == [address]
    assert understood(str(parse(url)))[0] == [address]


def test_several_hosts_with_target_session_attrs() -> None:
    addresses, found = understood("postgresql://r@a,b:2/d?target_session_attrs=read-write")
    assert addresses == [("a", 5432), ("b", 2)]
    assert found.target_session_attrs.value == "read-write"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "must start with postgresql://"),
        ("mysql://r@h/d", "must start with postgresql://"),
        ("postgresql+asyncpg://r@h/d", "must start with postgresql://"),
        ("postgresql:r@h/d", "must start with postgresql://"),
        ("postgresql://", "has no host"),
        ("postgresql:///d", "has no host"),
        ("postgresql://r@/d", "has no host"),
        ("postgresql://h/d", "has no role"),
        ("postgresql://r@h", "has no database"),
        ("postgresql://r@h/", "has no database"),
        ("postgresql://r:a#b@h/d", "unencoded #.*%23"),
        ("postgresql://r:a/b@h/d", "unencoded / or"),
        ("postgresql://r:a?b@h/d", "unencoded / or"),
        ("postgresql://r:a@b/c@h/d", "unencoded / or"),
        ("postgresql://r:100%@h/d", "% that starts no encoding"),
        ("postgresql://r:%zz@h/d", "% that starts no encoding"),
        ("postgresql://r:%ff@h/d", "not UTF-8"),
        ("postgresql://r:a b@h/d", "blank"),
        ("postgresql://r@h/d\n", "whitespace or a control"),
        ("postgresql://r@h:high/d", "invalid port"),
        ("postgresql://r@h:0/d", "invalid port"),
        ("postgresql://r@h:65536/d", "invalid port"),
        ("postgresql://r@::1/d", "brackets"),
        ("postgresql://r@[::1/d", "brackets"),
        ("postgresql://r@h!/d", "invalid host"),
        ("postgresql://r@h/d?sslmode=maybe", "sslmode=maybe; known: disable"),
        ("postgresql://r@h/d?ssl=true", "unknown parameter 'ssl'; known: host, sslmode"),
        ("postgresql://r@h/d?connect_timeout=3", "unknown parameter"),
        ("postgresql://r@h/d?sslmode=require&sslmode=disable", "twice"),
        ("postgresql://r@h/d?sslmode=verify-ca&sslrootcert=/none.pem", "certificates.*sslrootcert=/none.pem"),
        ("postgresql://r@h/d?sslmode=require&sslcert=/none.pem", "certificates.*sslcert=/none.pem"),
        ("postgresql://r@h/d?sslkey=/none.pem", "sslkey without its sslcert"),
        ("postgresql://r@h/d?target_session_attrs=best", "target_session_attrs=best; known: any"),
        ("postgresql://r@h/d?host=/tmp", "another one"),
    ],
)
def test_invalid_urls_are_reported_without_the_password(url: str, said: str) -> None:
    with pytest.raises(InvalidDatabaseUrl, match=f"(?s){said}") as refused:
        parse(url.replace("r:", "r:hunter2", 1) if "r:" in url else url)
    assert "hunter2" not in str(refused.value)


def test_two_different_passwords_are_rejected() -> None:
    with pytest.raises(InvalidDatabaseUrl, match="remove one of them"):
        parse(URL, "another")
    assert parse(URL, "secret").password == "secret"
    assert "secret" not in repr(parse(URL))


@pytest.mark.parametrize(
    ("mode", "verified", "by_name"),
    [
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_modes_with_tls(mode: str, verified: ssl.VerifyMode, by_name: bool) -> None:
    context = parse(f"postgresql://r@h/d?sslmode={mode}").arguments()["ssl"]
    assert (context.verify_mode, context.check_hostname) == (verified, by_name)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_modes_that_fall_back(mode: str) -> None:
    assert understood(f"postgresql://r@h/d?sslmode={mode}")[1].sslmode is SSLMode.parse(mode)
    assert understood("postgresql://r@127.0.0.1/d")[1].sslmode is SSLMode.disable


def test_no_variable_or_file_of_the_user_applies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("HOST", "PORT", "USER", "PASSWORD", "DATABASE", "SSLROOTCERT", "SSLCERT", "SSLKEY", "SSLCRL", "SERVICE")
    for name in (*names, "SSLMODE", "SSLNEGOTIATION", "SSLMINPROTOCOLVERSION", "TARGETSESSIONATTRS", "GSSLIB"):
        monkeypatch.setenv(f"PG{name}", "/nowhere")
    (tmp_path / ".pgpass").write_text("*:*:*:*:stolen\n")
    (tmp_path / ".pgpass").chmod(0o600)
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql/root.crt").write_text("no certificate")
    monkeypatch.setenv("HOME", str(tmp_path))
    for mode in ("disable", "allow", "prefer", "require", "verify-full"):
        addresses, found = understood(f"postgresql://r@h/d?sslmode={mode}")
        assert (addresses, found.user, found.password, found.database) == ([("h", 5432)], "r", "", "d")


async def test_the_driver_accepts_the_arguments() -> None:
    with pytest.raises(OSError):
        await asyncpg.connect(**parse("postgresql://r@127.0.0.1:1/d?sslmode=prefer").arguments(), timeout=5)
