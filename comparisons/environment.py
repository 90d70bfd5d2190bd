"""What the lines of a run share: the seed, a folder, and servers that are started when they are first needed."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tools.embedded.localstack import EmbeddedLocalStack
from tools.embedded.postgres import EmbeddedPostgres

Entered = TypeVar("Entered")


class ComparisonEnvironment:
    """One run of the comparisons. Everything that was entered is closed at its end, the newest first.

    Every server listens on the loopback only. With `localstack_url` no LocalStack is started.
    """

    def __init__(self, folder: Path, seed: int, *, localstack_url: str | None = None) -> None:
        self.folder = folder
        """For logs and data; it is removed at the end."""
        self.seed = seed
        self._stack = AsyncExitStack()
        self._servers: dict[str, EmbeddedPostgres] = {}
        self._localstack_url = localstack_url

    @classmethod
    @asynccontextmanager
    async def temporary(cls, seed: int = 1) -> AsyncIterator[Self]:
        """One with a folder that is removed at the end."""
        with tempfile.TemporaryDirectory(prefix="event-trio-comparison-") as folder:
            async with cls(Path(folder), seed) as environment:
                yield environment

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def random(self, *purpose: str) -> random.Random:
        """A generator for this purpose, the same in every run with this seed."""
        return random.Random("/".join((str(self.seed), *purpose)))  # noqa: S311 - repeatable runs, not a secret

    async def enter(self, context: AbstractAsyncContextManager[Entered]) -> Entered:
        """Enter a context that lasts until the end of the run."""
        return await self._stack.enter_async_context(context)

    async def postgres(self, name: str, settings: Mapping[str, str] | None = None) -> EmbeddedPostgres:
        """The Postgres server of this name, started with these settings when it is first asked for.

        Raises EmbeddedServerFailed.
        """
        if name not in self._servers:
            self._servers[name] = await self.enter(EmbeddedPostgres(settings=settings))
        return self._servers[name]

    async def restartable_postgres(self, settings: Mapping[str, str] | None = None) -> EmbeddedPostgres:
        """A Postgres server whose data survives its end. Raises EmbeddedServerFailed."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="event-trio-comparison-data-"))
        os.chmod(folder, 0o755)  # noqa: S103 - the server may run as another user
        return await self.enter(EmbeddedPostgres(Path(folder) / "postgres", settings=settings))

    async def localstack(self) -> str:
        """The endpoint URL of a LocalStack. Raises EmbeddedServerFailed."""
        if self._localstack_url is None:
            self._localstack_url = (await self.enter(EmbeddedLocalStack())).endpoint_url
        return self._localstack_url
