"""The project's Markdown pages, parsed for the tests of documents."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.sources import ROOT, project_files

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
RENAMED = re.compile(r"^### Renamed\n.*?(?=^###? )", re.MULTILINE | re.DOTALL)
"""The lists of former names in the changelog."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without fenced blocks, comments and lists of former names."""
        return prose(self.text)

    @property
    def blocks(self) -> list[Block]:
        return [Block(language, text) for language, text in FENCE.findall(self.text)]

    @property
    def spans(self) -> list[str]:
        """The code spans of the prose."""
        return re.findall(r"`([^`\n]+)`", self.prose)

    @property
    def links(self) -> list[str]:
        """The targets of links and images."""
        return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", self.prose))

    @property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading."""
        return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", self.prose, re.MULTILINE)]

    @property
    def anchors(self) -> set[str]:
        """The anchors of headings: in lower case, without punctuation, with hyphens for spaces."""
        return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for _, text in self.headings}


def prose(text: str) -> str:
    """A text without fenced blocks, comments and lists of former names."""
    return RENAMED.sub("", COMMENT.sub("", FENCE.sub("", text)))


def pages() -> list[Page]:
    """Every page of the project."""
    return [Page(path) for path in project_files() if path.suffix == ".md"]


def page(name: str) -> Page:
    """The page at a path below the root."""
    return Page(ROOT / name)
