"""Both READMEs have the same sections, commands and links, and list every folder."""

import re

from tests.support.documents import Page, page
from tests.support.sources import ROOT, named, project_files

ENGLISH = "README.md"
KOREAN = "README.ko.md"


def test_both_have_the_same_sections() -> None:
    english, korean = page(ENGLISH), page(KOREAN)
    assert [level for level, _ in english.headings] == [level for level, _ in korean.headings]
    assert _shape(english) == _shape(korean)


def test_both_have_the_same_commands_and_code() -> None:
    assert _commands(page(ENGLISH)) == _commands(page(KOREAN))


def test_both_have_the_same_links() -> None:
    translated = {"README.ko.md": "README", "README.md": "README"}
    links = [[translated.get(link, link) for link in page(name).links] for name in (ENGLISH, KOREAN)]
    assert links[0] == links[1]


def test_the_korean_readme_is_in_korean() -> None:
    letters = re.findall(r"[가-힣]", page(KOREAN).text)
    assert len(letters) > 1500


def test_the_layout_lists_every_folder() -> None:
    parts = [path.relative_to(ROOT).parts for path in project_files()]
    folders = {path[0] for path in parts if len(path) > 1 and not path[0].startswith(".")}
    services = {f"services/{path[1]}" for path in parts if path[0] == "services" and len(path) > 2}
    shown = set(re.findall(r"\[`([\w/]+)/`\]", page(ENGLISH).text))
    assert shown == folders - {"services", "locks"} | services


def test_containers_are_mentioned_only_if_they_exist() -> None:
    names = {named(path) for path in project_files()}
    assert ("docker compose up" in page(ENGLISH).text) == ("docker-compose.yml" in names)


def _shape(found: Page) -> list[str]:
    """The sequence of tables, lists and blocks, without their words."""
    lines = (line[:1] for line in found.text.splitlines())
    return [mark for mark in lines if mark in ("|", "-", "`", "!")]


def _commands(found: Page) -> list[str]:
    return [re.sub(r"\s+# .*", "", block.text) for block in found.blocks]
