"""Every page of the console: its headers, its languages, its times, and what it may not contain."""

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from zoneinfo import ZoneInfo

import httpx
import pytest
from fastapi import APIRouter

from services.console.settings import ConsoleSettings
from services.console.web import languages, times
from services.console.web.dependencies import ReaderPage
from tests.support.console import ScriptedSystem, console

CONSOLE = Path(languages.__file__).parents[1]
TEMPLATES = sorted((CONSOLE / "templates").rglob("*.html"))
KEY = re.compile(r"""\bt\("([a-z_.]+)"[,)]""")
# What is composed in templates and modules, of a name that is not known before.
COMPOSED = ("state.", "frame.failure.", "frame.change.", "error.")


async def test_every_response_restricts_the_browser() -> None:
    async with console(ScriptedSystem()) as browser:
        for path in ("/", "/nothing", "/static/css/console.css", "/sign-in", "/livez"):
            headers = (await browser.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"


async def test_pages_are_not_kept_and_static_files_are() -> None:
    async with console(ScriptedSystem()) as browser:
        page = await browser.get("/")
        assert page.headers["cache-control"] == "no-store"
        for address in re.findall(r'(?:src|href)="(/static/[^"#]+)', page.text):
            file = await browser.get(address)
            assert (file.status_code, "immutable" in file.headers["cache-control"]) == (200, True)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_neither_scripts_nor_styles(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|hx-on|javascript:|\|\s*safe|autoescape", text) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []
    # A form that changes something has the token of the session; signing in has no session yet.
    for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", text, re.DOTALL):
        assert "csrf_token" in form or "form_fields" in form or 'action="/sign-in"' in form


def test_vendored_files_are_those_of_their_packages() -> None:
    folder = CONSOLE / "static/vendor"
    packages = json.loads((folder / "packages.json").read_text(encoding="utf-8"))
    files = {name: digest for package in packages for name, digest in package["files"].items()}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert set(files) == set(found) - {"packages.json"}
    assert {name: hashlib.sha256(found[name].read_bytes()).hexdigest() for name in files} == files
    assert all(package["version"] and package["license"] for package in packages)
    assert {f"{name.partition('/')[0]}/LICENSE" for name in files} <= set(files)


def test_every_language_has_every_text_with_the_same_values() -> None:
    texts = {name: languages._read(languages.FOLDER / name) for name in languages.NAMES}
    english = {key: text for key, text in texts["en"].items() if not key.endswith(".one")}
    for name, found in texts.items():
        assert set(english) - set(found) == set(), name
        assert set(found) - set(texts["en"]) == set(), name
        for key, text in english.items():
            assert _values(text) == _values(found[key]), (name, key)


def test_a_text_for_one_thing_is_chosen_by_its_number_or_its_digits() -> None:
    english = languages.Languages().choose("en", "")
    assert [english("relays.dead", count=count) for count in (1, "1", 2, "1,000")] == [
        "1 dead letter",
        "1 dead letter",
        "2 dead letters",
        "1,000 dead letters",
    ]


def test_every_text_that_a_page_names_exists() -> None:
    known = languages._read(languages.FOLDER / "en")
    sources = [*TEMPLATES, *CONSOLE.rglob("*.py")]
    named = {key for path in sources for key in KEY.findall(path.read_text(encoding="utf-8"))}
    assert {key for key in named if key not in known and not key.startswith(COMPOSED)} == set()
    assert len(named) > 20


async def test_a_page_is_in_the_language_of_the_browser_or_the_chosen_one() -> None:
    async with console(ScriptedSystem()) as browser:
        assert '<html lang="ko"' in (await browser.get("/", headers={"Accept-Language": "fr, ko-KR;q=0.8"})).text
        assert '<html lang="en"' in (await browser.get("/", headers={"Accept-Language": "fr;q=x"})).text
        await browser.get("/preferences", params={"language": "ko", "theme": "dark"})
        page = (await browser.get("/")).text
        assert '<html lang="ko"' in page
        assert 'data-theme="dark"' in page


async def test_times_are_in_the_zone_of_the_reader_with_utc_on_hover() -> None:
    router = APIRouter()

    @router.get("/time")
    async def show(page: ReaderPage) -> object:
        found = page.moment("2026-11-26T23:30:00.5Z", milliseconds=True)
        assert found is not None
        return {"text": found.text, "utc": found.utc}

    async with console(ScriptedSystem(), router) as browser:
        assert (await browser.get("/time")).json()["text"] == "2026-11-26 23:30:00.500"
        browser.cookies.set("zone", "Asia%2FSeoul")
        assert (await browser.get("/time")).json() == {
            "text": "2026-11-27 08:30:00.500",
            "utc": "2026-11-26 23:30:00.500 UTC",
        }
        for wrong in ("../../etc/passwd", "x" * 100, "Nowhere"):
            browser.cookies.clear()
            browser.cookies.set("zone", wrong)
            assert (await browser.get("/time")).json()["text"] == "2026-11-26 23:30:00.500"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.042, "42 ms"), (3.21, "3.2 s"), (59.6, "1 min"), (125, "2 min 5 s"), (7300, "2 h 1 min"),
     (180_000, "2 d 2 h"), (-1, "0 ms")],
)  # fmt: skip
def test_durations(seconds: float | None, text: str) -> None:
    assert times.duration(seconds) == text


def test_a_moment_without_a_time_is_none() -> None:
    assert [times.moment(value, UTC) for value in (None, "", "soon")] == [None, None, None]
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert times.moment(at, ZoneInfo("Asia/Seoul")) == times.Moment(
        "2026-01-02 12:04:05", "2026-01-02 03:04:05.000 UTC", at.isoformat()
    )


async def test_a_part_of_a_page_is_rendered_alone() -> None:
    async with console(ScriptedSystem()) as browser:
        part = await browser.get("/", headers={"HX-Request": "true", "HX-Target": "live"})
        assert "<html" not in part.text
        assert "<section" in part.text


async def test_an_unexpected_error_is_a_page_that_names_the_request() -> None:
    router = APIRouter()

    @router.get("/broken")
    async def fail() -> None:
        raise RuntimeError("secret")

    async with console(ScriptedSystem({"order/readyz": httpx.ConnectError("x")}), router) as browser:
        answer = await browser.get("/broken")
        assert answer.status_code == 500
        assert answer.headers["x-correlation-id"] in answer.text
        assert "secret" not in answer.text
        assert (await browser.get("/")).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        {"public_url": "http://console.example.com"},
        {"public_url": "https://console.example.com/path"},
        {"trace_url": "http://127.0.0.1/trace"},
        {"event_trio_services": "order"},
    ],
)
def test_wrong_settings_are_explained(given: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        ConsoleSettings(**given)  # type: ignore[arg-type]


def _values(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}
