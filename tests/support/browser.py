"""A headless Chromium for tests of pages, and what axe finds in a page."""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

AXE = Path(__file__).parent / "axe" / "axe.min.js"
VARIABLE = "CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NEEDED = "no Chromium is installed: apt-get install chromium fonts-nanum, or set CHROMIUM to its path"
ARGUMENTS = (
    # The kernel of a container lends no namespaces to the browser, which opens pages of these tests only.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
)
SERIOUS = ("serious", "critical")
# Every rule of WCAG 2.2 up to level AA that axe knows, and those of good practice that are serious.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def chromium() -> str | None:
    """The path of a Chromium; None if there is none."""
    given = os.environ.get(VARIABLE)
    return given or next((found for name in NAMES if (found := shutil.which(name))), None)


needs_chromium = pytest.mark.skipif(chromium() is None, reason=NEEDED)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A running browser."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            yield started
        finally:
            await started.close()


@asynccontextmanager
async def context(
    found: Browser,
    url: str,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: str = "light",
    locale: str = "en-GB",
    javascript: bool = True,
    cookies: Sequence[Any] = (),
) -> AsyncIterator[BrowserContext]:
    """A person's browser, with cookies of its own; paths are of the console at `url`."""
    made = await found.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale=locale,
        timezone_id="Asia/Seoul",
        java_script_enabled=javascript,
        reduced_motion="reduce",
    )
    made.set_default_timeout(15_000)
    if cookies:
        await made.add_cookies(list(cookies))
    try:
        yield made
    finally:
        await made.close()


async def problems(page: Page, *, contrast_only: bool = False) -> list[str]:
    """What axe finds serious in a page: the rule, and the first elements that break it."""
    rules = {"type": "rule", "values": ["color-contrast"]} if contrast_only else {"type": "tag", "values": RULES}
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})",
        rules,
    )
    return [
        f"{page.url}: {each['id']} ({each['impact']}): {', '.join(str(node['target']) for node in each['nodes'][:3])}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
    ]
