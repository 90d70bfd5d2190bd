"""Infrastructure: what has to be created, by which command, and whether a repetition changes anything."""

from __future__ import annotations

import time

from comparisons.contract import Cell, LineResult
from comparisons.environment import ComparisonEnvironment
from comparisons.questions.columns import FOUND
from comparisons.questions.fifo_broker import REGION, versions
from event_trio.broker.aws import Aws
from infra.deploy import StackProgress, delete, deploy
from infra.drift import differences
from infra.manifest import BROKER, load
from infra.stacks import StackChange


async def run(environment: ComparisonEnvironment) -> LineResult:
    """Deploy all templates to LocalStack, deploy them again, compare, and delete them."""
    aws = Aws(region=REGION, endpoint_url=await environment.localstack())
    prefix = f"q{environment.random('infrastructure').randrange(16**6):06x}-"
    changes: list[StackProgress] = []
    began = time.monotonic()
    try:
        await deploy(aws, prefix=prefix, on_progress=changes.append)
        seconds, created = time.monotonic() - began, len(changes)
        changes.clear()
        await deploy(aws, prefix=prefix, on_progress=changes.append)
        again = sum(each.change is not StackChange.UNCHANGED for each in changes)
        different = len(await differences(aws, prefix=prefix))
    finally:
        await delete(aws, prefix=prefix)
    templates = len(load(kinds=BROKER))
    text = (
        f"one command: {created} stacks in {seconds:.1f} s; the same command again changed {again}; differences "
        f"between templates and broker: {different}"
    )
    wrong = (created, again, different) != (templates, 0, 0)
    return LineResult({FOUND: Cell(text, f"{templates} stacks, then no change" if wrong else "")}, versions=versions())
