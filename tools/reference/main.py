"""Writes the generated files: pages of docs/reference and AsyncAPI documents: `python -m tools.reference.main`."""

from __future__ import annotations

import gc

if __name__ == "__main__":
    gc.disable()  # all that is imported and read stays to the end

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

from tools.catalog import files as catalog
from tools.reference import actions, events, metrics, openapi, settings

ROOT = Path(__file__).parents[2]
FOLDER = "docs/reference"

PAGES: Mapping[str, Callable[[], str]] = {
    f"{FOLDER}/settings.md": settings.render,
    f"{FOLDER}/events.md": events.render,
    f"{FOLDER}/log-actions.md": actions.render,
    f"{FOLDER}/metrics.md": metrics.render,
    f"{FOLDER}/openapi/order.json": partial(openapi.document, "order"),
    f"{FOLDER}/openapi/notification.json": partial(openapi.document, "notification"),
    f"{FOLDER}/openapi/relay.json": partial(openapi.document, "relay"),
}


@cache
def generated() -> Mapping[str, str]:
    """The content of every generated file, by its path from the root of the project."""
    return {**{name: render() for name, render in PAGES.items()}, **catalog.render()}


def stale() -> list[str]:
    """The files that are not up to date, and those that are generated no longer."""
    changed = [name for name, text in generated().items() if _written(ROOT / name) != text]
    return [*changed, *sorted(catalog.written(ROOT) - set(generated()))]


def main() -> None:
    """Write the files that are not up to date, delete those that are generated no longer, and print their names."""
    for name in stale():
        path = ROOT / name
        if name in generated():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(generated()[name], encoding="utf-8")
        else:
            path.unlink()
        print(name)


def _written(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    main()
