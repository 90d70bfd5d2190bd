"""What each part cost when it was last measured on purpose: one file, which the tests compare with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

BASELINE = Path(__file__).with_name("baseline.json")


def baseline(part: str) -> dict[str, float]:
    """What the part cost then; raises KeyError for one that was never measured."""
    return _kept()[part]


def keep(part: str, cost: Mapping[str, float]) -> None:
    """Make this the part's baseline."""
    BASELINE.write_text(json.dumps({**_kept(), part: dict(cost)}, indent=2) + "\n")


def _kept() -> dict[str, dict[str, float]]:
    kept: dict[str, dict[str, float]] = json.loads(BASELINE.read_text())
    return kept
