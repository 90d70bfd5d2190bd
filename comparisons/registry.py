"""The parts of the comparisons, in the order of their pages."""

from __future__ import annotations

from comparisons.atomicity import part as atomicity
from comparisons.brokers import part as brokers
from comparisons.cdc import part as cdc
from comparisons.contract import ComparisonPart
from comparisons.questions import part as questions

PARTS: dict[str, ComparisonPart] = {
    part.name: part for part in (atomicity.PART, brokers.PART, cdc.PART, questions.PART)
}
