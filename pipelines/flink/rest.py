"""Flink's REST interface: the room a cluster has, how a job gets on, why it failed, and ending it.

The job server hands a job on and knows little of it afterwards; what runs is what the JobManager says that runs.

Source: Flink 1.19, "REST API".
"""

import http
import http.client
import json
import re
import socket
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

ANSWER_S = 20.0
"""How long an answer may take."""

ENDED = frozenset({"FINISHED", "FAILED", "CANCELED"})
"""States that a job does not leave."""

HANDED_IN = "handed in"
"""Of a job that the job server was given, and that the JobManager may not know yet."""

END_S = 30.0
"""How long a job may take to end when it is told to."""

POLL_S = 0.5

_RESOURCE = re.compile(r"(?P<host>[^:]+?)(?:-[0-9a-f]{6})?")
"""The id of a TaskManager that has a name: its pod's on Kubernetes, else as `taskmanager.resource-id` says.

Flink's own ids hold an address and a port. Source: Flink 1.19, `TaskManagerRunner.getTaskManagerResourceID`.
"""

_MISSING = (http.HTTPStatus.NOT_FOUND,)
_ENDED_ALREADY = (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT)
"""Answers to who would end a job that is gone, or ended otherwise. Source: Flink 1.19, `JobCancellationHandler`."""


class NoAnswerError(Exception):
    """Nobody answers at an address, or somebody who is not Flink; the message says so."""


class Room(NamedTuple):
    """Task slots of a cluster, and how many are free."""

    slots: int
    free: int


class FlinkJob(NamedTuple):
    """A job as the JobManager lists it."""

    id: str
    state: str


class Failure(NamedTuple):
    """Something that failed in a job.

    Attributes:
        at_ms: when, in milliseconds; the same of all that failed together, and of nothing else.
        text: the stack trace.
        host: the name of its TaskManager, if it has one, or its address; "" where none is known.
    """

    at_ms: int
    text: str
    host: str = ""


@dataclass(frozen=True)
class FlinkRest:
    """A REST interface; every question may raise `NoAnswerError`.

    Attributes:
        address: `HOST:PORT`.
        patience_s: for how long a question is asked again that gets no answer.
    """

    address: str
    patience_s: float = 0.0

    def room(self) -> Room:
        """What the cluster has room for."""
        told = self._ask("/overview")
        with self._reading():
            return Room(told["slots-total"], told["slots-available"])

    def jobs(self, name: str) -> list[FlinkJob]:
        """The jobs of a name, the latest first."""
        told = self._ask("/jobs/overview")
        with self._reading():
            found = [job for job in told["jobs"] if job["name"] == name]
            found.sort(key=lambda job: -job["start-time"])
            return [FlinkJob(job["jid"], job["state"]) for job in found]

    def job(self, job_id: str) -> dict[str, Any] | None:
        """State, tasks and what they shuffled; None where the JobManager knows no such job."""
        found: dict[str, Any] | None = self._ask(f"/jobs/{job_id}", without=_MISSING)
        return found

    def failures(self, job_id: str) -> list[Failure]:
        """What failed in a job so far, the latest first, those together that failed together."""
        told = self._ask(f"/jobs/{job_id}/exceptions", without=_MISSING) or {}
        with self._reading():
            entries = told.get("exceptionHistory", {}).get("entries", [])
            found = [failure for entry in entries for failure in _failed_together(entry)]
            if not found and told.get("root-exception"):
                return [Failure(told["timestamp"], told["root-exception"])]
            return found

    def end_jobs(self, name: str) -> list[FlinkJob]:
        """Ends all jobs of a name; returns those that have not ended after `END_S`."""
        began = time.monotonic()
        while (running := self._running(name)) and time.monotonic() - began < END_S:
            for job in running:
                self._ask(f"/jobs/{job.id}?mode=cancel", method="PATCH", without=_ENDED_ALREADY)
            time.sleep(POLL_S)
        return running

    def is_running(self, name: str, wait_s: float = 0.0) -> bool:
        """Whether a job of a name runs, or one that was handed in begins to within `wait_s`."""
        began = time.monotonic()
        while not self._running(name):
            if time.monotonic() - began >= wait_s:
                return False
            time.sleep(POLL_S)
        return True

    def _running(self, name: str) -> list[FlinkJob]:
        return [job for job in self.jobs(name) if job.state not in ENDED]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Tells an answer of somebody else's by what it lacks."""
        try:
            yield
        except (KeyError, TypeError, AttributeError) as error:
            raise self._not_flink() from error

    def _not_flink(self) -> NoAnswerError:
        return NoAnswerError(f"{self.address}: who answers there is not Flink's REST interface")

    def _ask(self, path: str, method: str = "GET", without: Container[int] = ()) -> Any:  # noqa: ANN401 - JSON
        """The answer to a question, None where its status is in `without`."""
        began = time.monotonic()
        while True:
            try:
                return self._ask_once(path, method, without)
            except NoAnswerError:
                if time.monotonic() - began > self.patience_s:
                    raise
            time.sleep(POLL_S)

    def _ask_once(self, path: str, method: str, without: Container[int]) -> Any:  # noqa: ANN401 - likewise
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=ANSWER_S)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status in without:
                return None
            if answer.status >= http.HTTPStatus.BAD_REQUEST:
                raise NoAnswerError(f"{self.address}: Flink's REST interface answers with status {answer.status}")
            return json.loads(body or b"{}")
        except (ValueError, http.client.BadStatusLine, http.client.LineTooLong) as error:
            raise self._not_flink() from error
        except (OSError, http.client.HTTPException) as error:
            told = f"{type(error).__name__}: {error}".rstrip(": ")
            raise NoAnswerError(f"{self.address}: Flink's REST interface gives no answer ({told})") from error
        finally:
            connection.close()


def _failed_together(entry: dict[str, Any]) -> list[Failure]:
    """What one entry of a job's history tells of: the first failure, and those at the same time elsewhere."""
    each = (entry, *entry.get("concurrentExceptions", []))
    return [Failure(entry["timestamp"], failed["stacktrace"], _host(failed)) for failed in each]


def _host(entry: dict[str, Any]) -> str:
    """Where a task failed; "" of what failed on no host."""
    if named := _RESOURCE.fullmatch(entry.get("taskManagerId") or ""):
        return named["host"]
    host, _, port = (entry.get("endpoint") or "").rpartition(":")
    return host if port.isdigit() else ""


def is_answered(address: str) -> bool:
    """Whether somebody takes connections at `HOST:PORT`."""
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=ANSWER_S):
        return True
    return False
