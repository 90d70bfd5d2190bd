"""The browser of the tests, and axe in it, find what is wrong with a page."""

import hashlib
import json

from tests.support.browser import AXE, browser, context, needs_chromium, problems

PAGE = """
<html lang="en"><head><title>A page</title></head><body><main>
<h1>Hello</h1><img src="data:," {alt}><p style="color: {colour}">Hardly readable</p>
</main></body></html>
"""


def test_axe_is_the_file_of_its_package() -> None:
    package = json.loads((AXE.parent / "package.json").read_text(encoding="utf-8"))
    for name, digest in package["files"].items():
        assert hashlib.sha256((AXE.parent / name).read_bytes()).hexdigest() == digest, name
    assert package["version"] in AXE.read_text(encoding="utf-8")[:40]
    assert package["license"] == "MPL-2.0"


@needs_chromium
async def test_axe_finds_a_picture_without_a_text_and_a_faint_text() -> None:
    async with browser() as found, context(found, "http://127.0.0.1:9") as person:
        page = await person.new_page()
        await page.set_content(PAGE.format(alt="", colour="#ccc"))
        bad = await problems(page)
        await page.set_content(PAGE.format(alt="alt='a dot'", colour="#333"))
        good = await problems(page)
    assert [text.split(": ")[1].split(" ")[0] for text in bad] == ["color-contrast", "image-alt"]
    assert good == []
