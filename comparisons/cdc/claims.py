"""What the seed says about change data capture: events as rows and as messages of the log, and the slot is lost."""

from __future__ import annotations

from comparisons.cdc.experiment import MESSAGE, ROW, lost_with_the_slot
from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment

VERDICT = "Verdict and what was seen"


async def outbox_or_log(environment: ComparisonEnvironment) -> LineResult:
    """Commit events in both forms, lose the slot that would have shown them, and look for them."""
    result = await lost_with_the_slot(environment)
    row, message = result.cells[ROW], result.cells[MESSAGE]
    text = (
        "no choice between two: the log tells of a row of the outbox at its commit, and the table keeps it. "
        f"After the slot was lost, as rows: {row.text}; in the log only: {message.text}"
    )
    return LineResult({VERDICT: Cell(text, row.unexpected or message.unexpected)}, versions=result.versions)
