"""The loop of the relay's jobs: steps while there is work, rests otherwise, and continues after failures."""

import asyncio
from collections.abc import Callable

from services.relay.jobs.step_loop import StepLoop
from tests.support import virtual_time


class CountedJob:
    """A job whose steps have these results; it has no more work after them."""

    name = "counted"
    rest_seconds = 60.0
    busy_seconds = 1.0

    def __init__(self, *results: bool | Exception) -> None:
        self._results = list(results)
        self.times: list[float] = []
        self.failures: list[str] = []

    async def step(self) -> bool:
        self.times.append(asyncio.get_running_loop().time())
        result = self._results.pop(0) if self._results else False
        if isinstance(result, Exception):
            raise result
        return result

    def log_failure(self, error: BaseException) -> None:
        self.failures.append(type(error).__name__)


def intervals(job: CountedJob, *, seconds: float, may_run: Callable[[], bool] = lambda: True) -> list[float]:
    """Run the job's loop for this long; returns the times between its steps."""

    async def scenario() -> None:
        stopping = asyncio.Event()
        running = asyncio.create_task(StepLoop(job, may_run=may_run).run(stopping))
        await virtual_time.pass_time(seconds)
        stopping.set()
        await running

    virtual_time.run(scenario())
    return [round(after - before) for before, after in zip(job.times, job.times[1:], strict=False)]


def test_the_loop_rests_briefly_while_there_is_more_work() -> None:
    assert intervals(CountedJob(True, True), seconds=100) == [1, 1, 60]


def test_a_failed_step_is_logged_and_repeated_after_a_rest() -> None:
    job = CountedJob(ConnectionResetError(), True)
    assert intervals(job, seconds=100) == [60, 1]
    assert job.failures == ["ConnectionResetError"]


def test_no_step_is_done_while_the_job_may_not_run() -> None:
    job = CountedJob(True)
    assert intervals(job, seconds=100, may_run=lambda: False) == []
    assert job.times == []


def test_a_wake_ends_the_rest() -> None:
    job = CountedJob()

    async def scenario() -> None:
        loop, stopping = StepLoop(job), asyncio.Event()
        running = asyncio.create_task(loop.run(stopping))
        await virtual_time.pass_time(5)
        loop.wake()
        await virtual_time.pass_time(1)
        stopping.set()
        await running

    virtual_time.run(scenario())
    assert len(job.times) == 2
