"""The costs of the last intended measurement, with which the tests compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

BASELINE = Path(__file__).with_name("baseline.json")


def baseline(part: str) -> dict[str, float]:
    """The cost of a part in the baseline. Raises KeyError for an unknown part."""
    return _read()[part]


def keep(part: str, cost: Mapping[str, float]) -> None:
    """Store the cost of a part as its baseline."""
    BASELINE.write_text(json.dumps({**_read(), part: dict(cost)}, indent=2) + "\n")


def _read() -> dict[str, dict[str, float]]:
    costs: dict[str, dict[str, float]] = json.loads(BASELINE.read_text())
    return costs
