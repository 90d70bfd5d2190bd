"""Writes the generated pages of docs/reference: `python -m tools.reference.main`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tools.reference import actions, events, metrics, openapi, settings

FOLDER = Path(__file__).parents[2] / "docs" / "reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings.render,
    "events.md": events.render,
    "log-actions.md": actions.render,
    "metrics.md": metrics.render,
    "openapi/order.json": partial(openapi.document, "order"),
    "openapi/notification.json": partial(openapi.document, "notification"),
    "openapi/relay.json": partial(openapi.document, "relay"),
}


def stale() -> list[str]:
    """The pages that are not up to date."""
    return [name for name, render in PAGES.items() if _written(FOLDER / name) != render()]


def main() -> None:
    """Write the pages that are not up to date, and print their names."""
    for name in stale():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"docs/reference/{name}")


def _written(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    main()
