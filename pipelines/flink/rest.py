"""Flink's REST interface: the room a cluster has, how a job gets on, why it failed, and ending it.

The job server hands a job on and knows little of it afterwards; what runs is what the JobManager says that runs.

Source: Flink 1.19, "REST API".
"""

import http
import http.client
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
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
    """Something that failed in a job: when, in milliseconds, the stack trace, and the host, "" where none is known."""

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
        return Room(told["slots-total"], told["slots-available"])

    def jobs(self, name: str) -> list[FlinkJob]:
        """The jobs of a name, the latest first."""
        found = [job for job in self._ask("/jobs/overview")["jobs"] if job["name"] == name]
        found.sort(key=lambda job: -job["start-time"])
        return [FlinkJob(job["jid"], job["state"]) for job in found]

    def job(self, job_id: str) -> dict[str, Any] | None:
        """State, tasks and what they shuffled; None where the JobManager knows no such job."""
        found: dict[str, Any] | None = self._ask(f"/jobs/{job_id}", is_missing_known=True)
        return found

    def failures(self, job_id: str) -> list[Failure]:
        """What failed in a job so far, the latest first, those together that failed together."""
        told = self._ask(f"/jobs/{job_id}/exceptions", is_missing_known=True) or {}
        entries = told.get("exceptionHistory", {}).get("entries", [])
        together = [each for entry in entries for each in (entry, *entry.get("concurrentExceptions", []))]
        found = [Failure(each["timestamp"], each["stacktrace"], _host(each)) for each in together]
        if not found and told.get("root-exception"):
            return [Failure(told["timestamp"], told["root-exception"])]
        return found

    def cancel(self, job_id: str) -> None:
        """Asks for the end of a job."""
        self._ask(f"/jobs/{job_id}?mode=cancel", method="PATCH", is_missing_known=True)

    def end_jobs(self, name: str, wait_s: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Ends all jobs of a name, and waits until they have ended.

        Args:
            name: the jobs' name.
            wait_s: how long to look for one that has been handed in, and may not be listed yet.
            clock: seconds that only go up.
        """
        began = clock()
        while True:
            jobs = self.jobs(name)
            running = [job for job in jobs if job.state not in ENDED]
            for job in running:
                self.cancel(job.id)
            waited_s = clock() - began
            if (not running and waited_s >= wait_s) or waited_s > END_S + wait_s:
                return
            time.sleep(POLL_S)

    def _ask(self, path: str, method: str = "GET", *, is_missing_known: bool = False) -> Any:  # noqa: ANN401 - JSON
        began = time.monotonic()
        while True:
            try:
                return self._ask_once(path, method, is_missing_known)
            except NoAnswerError:
                if time.monotonic() - began > self.patience_s:
                    raise
            time.sleep(POLL_S)

    def _ask_once(self, path: str, method: str, is_missing_known: bool) -> Any:  # noqa: ANN401 - likewise
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=ANSWER_S)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == http.HTTPStatus.NOT_FOUND and is_missing_known:
                return None
            if answer.status >= http.HTTPStatus.BAD_REQUEST:
                raise NoAnswerError(f"{self.address}: Flink's REST interface answers with status {answer.status}")
            return json.loads(body or b"{}")
        except (ValueError, http.client.BadStatusLine, http.client.LineTooLong) as error:
            raise NoAnswerError(f"{self.address}: who answers there is not Flink's REST interface") from error
        except (OSError, http.client.HTTPException) as error:
            told = f"{type(error).__name__}: {error}".rstrip(": ")
            raise NoAnswerError(f"{self.address}: Flink's REST interface gives no answer ({told})") from error
        finally:
            connection.close()


def _host(entry: dict[str, Any]) -> str:
    """Where a task failed; "" of what failed on no host."""
    host, _, port = (entry.get("endpoint") or "").rpartition(":")
    return host if port.isdigit() else ""


def is_answered(address: str) -> bool:
    """Whether somebody takes connections at `HOST:PORT`."""
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=ANSWER_S):
        return True
    return False
