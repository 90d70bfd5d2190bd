"""The control: a run without a fault, in which nothing may be reported."""

from tests.faults.registry import fault
from tests.faults.run import Run


@fault(0, "no fault: a control run, in which nothing may be reported", "P7", "alone", reported=False, quiet=True,
       progress=True)  # fmt: skip
async def nothing(run: Run) -> None:
    await run.more_effects(40)
