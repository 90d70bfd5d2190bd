"""The part: its table, and which run and which tests answer each question."""

from __future__ import annotations

from comparisons.contract import ComparisonPart, ComparisonTable, Line
from comparisons.questions import filters
from comparisons.questions.columns import FOUND

PART = ComparisonPart(
    "questions",
    minutes=1,
    tables=(
        ComparisonTable(
            "questions",
            "Question",
            (FOUND,),
            (
                Line(
                    "attribute-filters",
                    "Who decides which events a subscriber receives, and what does the rest cost it?",
                    ("integration/test_comparison_questions.py::test_a_filter_passes_its_types_only",),
                    filters.run,
                ),
            ),
        ),
    ),
)
