"""The texts of the pages in every language, from the files of `languages/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "languages"
DEFAULT = "en"
NAMES = {"en": "English", "ko": "한국어"}
"""The languages by their own names. English is complete; a text that another language lacks is shown in English."""


class Texts:
    """The texts of one language by key: `overview.title` is `title` in the file `overview.json`."""

    def __init__(self, language: str, texts: Mapping[str, str], otherwise: Mapping[str, str]) -> None:
        self.language = language
        self._texts = texts
        self._otherwise = otherwise

    def __call__(self, key: str, count: object = None, **values: object) -> str:
        """The text with its values. With `count`, the key ends in `.one` where the language distinguishes it.

        An unknown key is returned itself.
        """
        found = self._find(f"{key}.one") if str(count) == "1" else None
        text = found or self._find(key)
        if text is None:
            return key
        given = values if count is None else {"count": count, **values}
        return text.format(**given) if given else text

    def has(self, key: str) -> bool:
        """Whether there is such a text."""
        return self._find(key) is not None

    def _find(self, key: str) -> str | None:
        if key in self._texts:
            return self._texts[key]
        # A language without a form for one thing has the same text for any number.
        base = key.removesuffix(".one")
        return self._texts[base] if base in self._texts and base != key else self._otherwise.get(key)


class Languages:
    """All languages."""

    def __init__(self, folder: Path = FOLDER) -> None:
        texts = {name: _read(folder / name) for name in NAMES}
        self._languages = {name: Texts(name, found, texts[DEFAULT]) for name, found in texts.items()}

    def choose(self, chosen: str | None, accepted: str) -> Texts:
        """The chosen language; otherwise the first that the browser accepts, otherwise English."""
        for name in (chosen or "", *_accepted(accepted)):
            if name in self._languages:
                return self._languages[name]
        return self._languages[DEFAULT]


def _read(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        texts: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        found |= {f"{path.stem}.{key}": text for key, text in texts.items()}
    return found


def _accepted(header: str) -> list[str]:
    """The languages of an Accept-Language header, the preferred first (RFC 9110, section 12.5.4)."""
    weighted = []
    for part in header[:1000].split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            weight = 0.0
        weighted.append((-weight, name.strip().partition("-")[0].lower()))
    return [name for weight, name in sorted(weighted, key=lambda entry: entry[0]) if weight < 0]
