"""Group commit: calls that come at the same time are done together, in one transaction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gathered(Generic[Item, Result]):
    """Hands what has come in while it was working to `work`, at most `most` items at once.

    Nobody waits for company: the first call starts at once, those that come meanwhile make the
    next group. `work` answers each item in order; what it raises is raised to each of the group,
    unless `fault_of_one` says that one may have spoilt it for the others: then each is alone.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        most: int,
        fault_of_one: Callable[[Exception], bool],
    ) -> None:
        self._work = work
        self._most = most
        self._fault_of_one = fault_of_one
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Result:
        """The result for this item, once its group is done."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._most)
                await self._group([self._waiting.popleft() for _ in range(size)])
        finally:
            self._worker = None
            # Only a cancelled worker leaves any behind.
            while self._waiting:
                self._waiting.popleft()[1].cancel()

    async def _group(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        futures = [future for _, future in group]
        try:
            results = await self._work([item for item, _ in group])
        except Exception as error:
            if len(group) > 1 and self._fault_of_one(error):
                for item in group:
                    await self._group([item])
                return
            # Raised to every caller, who answers the sender; the sender tries again.
            for future in futures:
                if not future.done():
                    future.set_exception(error)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        else:
            for future, result in zip(futures, results, strict=True):
                # A caller who went away does not want it any more.
                if not future.done():
                    future.set_result(result)
