"""Writes the dashboards of infra/grafana: `python -m tools.dashboards.main`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.dashboards import consumer, events, processes, relay

FOLDER = Path(__file__).parents[2] / "infra" / "grafana" / "dashboards"

RENDERS = {
    "events.json": events.render,
    "relay.json": relay.render,
    "consumer.json": consumer.render,
    "processes.json": processes.render,
}


def render(name: str) -> str:
    """The text of a dashboard's file."""
    found: dict[str, Any] = RENDERS[name]()
    return json.dumps(found, indent=2) + "\n"


def main() -> None:
    """Write the dashboards that are not up to date, and print their names."""
    for name in RENDERS:
        path, text = FOLDER / name, render(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"infra/grafana/dashboards/{name}")


if __name__ == "__main__":
    main()
