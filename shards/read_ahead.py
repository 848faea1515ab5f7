"""Results in their order, computed by threads a little ahead of whoever takes them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

RESULTS_A_WORKER = 2


def read_ahead(read: Callable[[Part], Result], parts: Iterable[Part], workers: int) -> Iterator[Result]:
    """Yield what `read` makes of each part, in their order.

    An error comes where its result would have; no thread is left when the iterator is closed.

    Args:
        read: Safe among threads.
        parts: May have no end; taken as they are needed.
        workers: Threads, two results ahead each; 0 reads when a result is asked for.
    """
    if not workers:
        yield from map(read, parts)
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for part in parts:
                ahead.append(pool.submit(read, part))
                if len(ahead) > RESULTS_A_WORKER * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
