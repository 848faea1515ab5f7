"""What ends a command before it is done: Ctrl-C, SIGTERM, and SIGHUP, which tells of a terminal that was closed."""

import signal
from types import FrameType

INTERRUPTING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class Interruption:
    """Raises `KeyboardInterrupt` for each of the three, so that all of them end a command where Ctrl-C does.

    Where one is ignored when the command begins (`nohup`), it stays ignored. After the first of them SIGHUP is too:
    of a terminal that is closed both shell and kernel tell, and a second signal ends a command at once.

    Attributes:
        number: of the first that came; SIGINT where another told of the interruption.
    """

    def __init__(self) -> None:
        self.number: int = signal.SIGINT
        self._has_come = False

    def listen(self) -> None:
        """Begins to listen; in the main thread, for the rest of the process's life."""
        for number in INTERRUPTING:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        if not self._has_come:
            self.number, self._has_come = number, True
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise KeyboardInterrupt
