"""What failed on a Flink cluster, in one line, and whether trying again could help."""

import re
from collections.abc import Sequence

from pipelines.explain import Raised, innermost
from pipelines.flink.rest import Failure

PASSING = frozenset({"StoreError", "LeaseLostError", "ConnectionError", "ConnectionResetError", "TimeoutError"})
"""Errors of Python that come of a place that cannot be reached for a while."""

SAME_ERRORS = 3
"""Times that one error of the program is seen, in however many tasks at once, before it is taken for no accident."""

POOL_AWAY_MS, POOL_TOLD_MS = 30_000, 90_000
"""How long a pool of Python workers may be away, which takes seconds to start, and for how long its failures count."""

_FINAL = frozenset({"StageError", "ManifestError", "WarcError"})
"""What a stage says when it cannot do its work."""

_DISK_FULL = re.compile(r"\[Errno (28|122)\]|No space left on device")
_POOL = "BeamFnExternalWorkerPool"
_UNREACHED = re.compile(
    r"(?:Connect|NoRouteToHost|ConnectTimeout)Exception: .*: (?P<host>[^\s/]*)/(?P<address>\S*):(?P<port>\d+)$",
    re.MULTILINE,
)
_UNKNOWN = re.compile(r"UnknownHostException: (?P<host>[^\s:]+)")
_PYTHON = "Traceback (most recent call last)"
_CAUSED_BY = re.compile(r"^Caused by: (?:[\w$]+\.)*(?P<name>[\w$]+)(?:: (?P<message>.*))?$", re.MULTILINE)
_FIRST = re.compile(r"^(?:[\w$]+\.)*(?P<name>[\w$]+)(?:: (?P<message>.*))?$")


def raised(text: str) -> Raised:
    r"""The error that began it all, out of a stack trace of Java's in which one of Python's may stand.

    >>> raised("java.lang.Exception: no\n\tat X\nCaused by: java.io.IOException: slot lost\n\tat Y")
    Raised(name='IOException', message='slot lost')
    """
    if _PYTHON in text:
        return innermost(RuntimeError(text))
    first = text.partition("\n")[0]
    last = next(reversed(list(_CAUSED_BY.finditer(text))), _FIRST.match(first))
    return Raised(last["name"], last["message"] or "") if last else Raised("error", first)


def told(text: str) -> str:
    """A stack trace in one line."""
    name, message = raised(text)
    return f"{name}: {message}" if message else name


def told_of(failure: Failure) -> str:
    """A failure in one line."""
    return missing_pool(failure) or told(failure.text)


def located(failure: Failure, failures: Sequence[Failure]) -> Failure:
    """The latest of the same error of which Flink says where it was, which it does not of a whole job; else itself."""
    error = raised(failure.text)
    return next((other for other in failures if other.host and raised(other.text) == error), failure)


def final_failure(failures: Sequence[Failure]) -> Failure | None:
    """The failure that another try would not mend, if any: a stage's own word, a full disk, no pool, the same again.

    Args:
        failures: of a job, the latest first.
    """
    errors = [(failure, raised(failure.text)) for failure in failures]
    for failure, error in errors:
        is_ours = _PYTHON in failure.text
        if _DISK_FULL.search(error.message) or (is_ours and error.name in _FINAL):
            return failure
        times = {other.at_ms for other, same in errors if same == error}
        if is_ours and error.name not in PASSING and len(times) >= SAME_ERRORS:
            return failure
    return _lasting([failure for failure in failures if missing_pool(failure)])


def _lasting(without_pool: Sequence[Failure]) -> Failure | None:
    """The latest failure for want of a pool, where that goes on for longer than a pool takes to start."""
    if not without_pool:
        return None
    latest = without_pool[0]
    times = {failure.at_ms for failure in without_pool if latest.at_ms - failure.at_ms <= POOL_TOLD_MS}
    return latest if len(times) >= SAME_ERRORS and latest.at_ms - min(times) >= POOL_AWAY_MS else None


def of_a_worker(failure: Failure) -> str | None:
    """What a person is told of a failure for which what a worker's host lacks is to blame, None of any other."""
    return full_disk(failure) or missing_pool(failure)


def full_disk(failure: Failure) -> str | None:
    """What a person is told of a failure for which a worker's disk is to blame, None of any other."""
    message = raised(failure.text).message
    if not _DISK_FULL.search(message):
        return None
    worker = _worker(failure)
    return f"{worker}: its disk is full ({message}); free some space there and run again: what is finished is kept"


def missing_pool(failure: Failure) -> str | None:
    """What a person is told where a TaskManager found nobody at the address of its pool, None of any other failure."""
    if _POOL not in failure.text:
        return None
    if unreached := _UNREACHED.search(failure.text):
        where = f"{unreached['host'] or unreached['address']}:{unreached['port']}"
        return (
            f"{_worker(failure)}: no pool of Python workers answers at {where}; "
            "start one beside the TaskManager, or name where it is as --worker-pool HOST:PORT"
        )
    if unknown := _UNKNOWN.search(failure.text):
        told_host = f"does not know the host '{unknown['host']}' of its pool of Python workers"
        return f"{_worker(failure)} {told_host}; name where it is as --worker-pool HOST:PORT"
    return None


def _worker(failure: Failure) -> str:
    return f"worker {failure.host}" if failure.host else "a worker"
