"""One lane of a crawl: many hosts at once, each asked politely and by nobody else.

A host is asked one thing at a time, robots.txt first, with a pause between the end of one request and the start of
the next. Links that stay on a host are followed in the same call, breadth first, in the order found; all others come
out as link rows, for the next round. What an earlier snapshot has is asked for on the condition that it has changed.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack

from crawl.asking import Asker
from crawl.host import HostVisits, HostWork, Surroundings
from crawl.http import Client
from crawl.records import Visit
from crawl.settings import FetchSettings

_MAX_WAITING_VISITS = 32
"""Visits that may wait for whoever stores them; each may hold a payload."""


async def visit_lane(
    work: Iterable[HostWork], settings: FetchSettings, around: Surroundings | None = None
) -> AsyncGenerator[Visit, None]:
    """Yield one visit for each URL asked for, in a fixed order for each host.

    Args:
        work: hosts, each once; the next is taken when there is room for it.
        settings: manners and limits.
        around: what else the lane has to do with.

    URLs beyond `settings.max_urls_per_host` or `settings.round_time_s` get no visit: they stay due.
    """
    around = around or Surroundings()
    visits: asyncio.Queue[Visit | None] = asyncio.Queue()
    room = asyncio.Semaphore(_MAX_WAITING_VISITS)

    async def emit(visit: Visit) -> None:
        await room.acquire()
        visits.put_nowait(visit)

    async with AsyncExitStack() as stack:
        fetcher = around.fetcher
        if fetcher is None:
            fetcher = await stack.enter_async_context(Client(settings))
        asker = Asker(
            fetcher,
            settings,
            around.pauses,
            around.may_ask,
            is_asked_before=around.is_asked_before,
            is_ours=around.is_ours,
        )
        runner = asyncio.create_task(_visit_hosts(work, asker, settings, around, emit))
        runner.add_done_callback(lambda _: visits.put_nowait(None))
        try:
            while (visit := await visits.get()) is not None:
                room.release()
                yield visit
            await runner
        finally:
            runner.cancel()
            await asyncio.wait([runner])


async def _visit_hosts(
    work: Iterable[HostWork],
    asker: Asker,
    settings: FetchSettings,
    around: Surroundings,
    emit: Callable[[Visit], Awaitable[None]],
) -> None:
    """Visit all hosts, `settings.num_hosts` at a time."""
    deadline = _now() + settings.round_time_s
    room = asyncio.Semaphore(settings.num_hosts)

    async def visit_one(item: HostWork) -> None:
        try:
            await HostVisits(item, asker, settings, around).visit_all(emit, deadline)
        finally:
            asker.forget(item.host)
            room.release()

    try:
        async with asyncio.TaskGroup() as group:
            for item in work:
                await room.acquire()
                if _now() >= deadline or not around.may_ask():
                    break
                group.create_task(visit_one(item))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed  # a group does not survive the way between Beam's processes


def _now() -> float:
    """Return the seconds of the event loop's clock."""
    return asyncio.get_running_loop().time()
