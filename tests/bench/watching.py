"""Looking at processes while something runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil


@contextmanager
def looking(look: Callable[[psutil.Process], None], poll_s: float) -> Iterator[None]:
    """Has `look` look at this process, and those below it, every `poll_s` seconds until the block ends."""
    done = threading.Event()

    def look_on() -> None:
        this = psutil.Process()
        look(this)
        while not done.wait(poll_s):
            look(this)

    thread = threading.Thread(target=look_on)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
