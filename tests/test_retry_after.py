"""A host that says when to come back is not asked before, whatever else its answer says."""

from dataclasses import replace
from typing import Any

import pytest

from crawl.host import HostWork, Surroundings
from crawl.lane import visit_lane
from crawl.records import Target
from crawl.response import Response
from crawl.settings import FetchSettings, Scope
from tests import virtual_time
from tests.simulated_web import Host, SimulatedWeb

HOST = "a.example"
SETTINGS = FetchSettings(contact="x", scopes={"": Scope(None)}, round_time_s=10**9, site_opt_outs=False)


def _asked(status: int, retry_after: str, **changes: Any) -> tuple[dict[str, float], list[str]]:
    """Path to seconds since the answer before, and the reasons; /1 is answered with a status and Retry-After."""

    class Web(SimulatedWeb):
        async def fetch(self, url: str, **how: Any) -> Response:
            answer = await super().fetch(url, **how)
            if not url.endswith("/1"):
                return answer
            return Response(status, answer.head, (("retry-after", retry_after), ("location", "/moved")), answer.body)

    async def crawl() -> list[str]:
        due = [Target(f"http://{HOST}/{number}", "image", 0, "", "") for number in (1, 2)]
        lane = visit_lane([HostWork(HOST, due)], replace(SETTINGS, **changes), Surroundings(web))
        return [visit.row.reason async for visit in lane]

    web = Web({HOST: Host("a")})
    reasons = virtual_time.run(crawl())
    gaps = {after.path: after.begin - before.end for before, after in zip(web.log, web.log[1:], strict=False)}
    return gaps, reasons


@pytest.mark.parametrize(("status", "after"), [(301, "/moved"), (404, "/2"), (403, "/2"), (200, "/2"), (429, "/2")])
@pytest.mark.parametrize("retry_after", ["30", "30.0"])
def test_any_answer_may_say_when_to_come_back(status: int, after: str, retry_after: str):
    gaps, reasons = _asked(status, retry_after, max_attempts=1)
    assert gaps[after] == pytest.approx(30)
    assert "retry_after_too_long" not in reasons


@pytest.mark.parametrize("status", [301, 404, 200, 503])
@pytest.mark.parametrize("retry_after", ["3600.0", "10000000000", "9" * 400])
def test_a_host_that_says_to_come_back_much_later_is_left_alone(status: int, retry_after: str):
    gaps, reasons = _asked(status, retry_after)
    assert list(gaps) == ["/1"]
    assert reasons[1:] == ["retry_after_too_long"] * (2 if status == 301 else 1)
