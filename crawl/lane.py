"""One lane of a crawl: many hosts at once, each asked politely and by nobody else.

A host is asked one thing at a time, robots.txt first, with a pause between the end of one request and the start of
the next. Links that stay on a host are followed in the same call, breadth first, in the order found; all others come
out as link rows, for the next round.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import replace

from crawl.asking import Answer, Asker, is_host_down
from crawl.http import Client, FetchError
from crawl.records import Target, Visit, target_of
from crawl.settings import PRODUCT, FetchSettings, HostSpent, is_wanted
from crawl.site_files import SiteFiles
from crawl.urls import host_of
from crawl.visit import (
    Asked,
    is_body_wanted,
    judge,
    misdirected,
    opted_out_unasked,
    redirect_location,
    redirected,
    timestamp,
    unanswered,
    unasked,
)

_MAX_WAITING_VISITS = 32
"""Visits that may wait for whoever stores them; each may hold a payload."""

_MAX_HOST_FAILURES = 5
"""URLs in a row that a host may leave without an answer before it is left alone for this round."""

_ACCEPT = {
    "page": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1",
    "image": "image/avif,image/webp,image/png,image/jpeg,image/*;q=0.8,*/*;q=0.1",
}


async def visit_lane(
    targets: Iterable[Target],
    known: Callable[[str], bool],
    settings: FetchSettings,
    spent: Mapping[str, HostSpent],
) -> AsyncGenerator[Visit, None]:
    """Yield one visit for each URL asked for, in a fixed order for each host.

    Args:
        targets: URLs that are due, all of a host's together in one lane.
        known: tells whether a URL has its ledger row already; such are never visited again.
        settings: manners and limits.
        spent: what each host was asked for in earlier rounds.

    URLs beyond `settings.max_urls_per_host` or `settings.round_time_s` get no visit: they stay due.
    """
    visits: asyncio.Queue[Visit | None] = asyncio.Queue()
    room = asyncio.Semaphore(_MAX_WAITING_VISITS)

    async def emit(visit: Visit) -> None:
        await room.acquire()
        visits.put_nowait(visit)

    async with Client(settings) as client:
        hosts = _hosts(targets, known, Asker(client, settings), settings, spent)
        runner = asyncio.create_task(_visit_hosts(hosts, settings, emit))
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
    hosts: "Iterable[_Host]", settings: FetchSettings, emit: Callable[[Visit], Awaitable[None]]
) -> None:
    """Visit all hosts, `settings.num_hosts` at a time."""
    deadline = time.monotonic() + settings.round_time_s
    room = asyncio.Semaphore(settings.num_hosts)

    async def visit_one(host: _Host) -> None:
        async with room:
            await host.visit_all(emit, deadline)

    async with asyncio.TaskGroup() as group:
        for host in hosts:
            group.create_task(visit_one(host))


def _hosts(
    targets: Iterable[Target],
    known: Callable[[str], bool],
    asker: Asker,
    settings: FetchSettings,
    spent: Mapping[str, HostSpent],
) -> "list[_Host]":
    hosts: dict[str, _Host] = {}
    for target in targets:
        name = host_of(target.url)
        if name not in hosts:
            hosts[name] = _Host(name, known, asker, settings, spent.get(name, HostSpent()))
        hosts[name].add(target)
    return list(hosts.values())


class _Host:
    """What is due on one host, and how far we are with it."""

    def __init__(
        self, name: str, known: Callable[[str], bool], asker: Asker, settings: FetchSettings, spent: HostSpent
    ) -> None:
        self._name, self._known, self._asker, self._settings = name, known, asker, settings
        self._site_files = SiteFiles(asker, settings)
        self._due: OrderedDict[str, Target] = OrderedDict()
        self._seen: set[str] = set()
        self._moved: dict[str, str] = {}
        self._spent = {"page": spent.pages, "image": spent.pictures}
        self._num_asked = 0
        self._num_failures = 0
        if spent != HostSpent():
            asker.hold(name)  # an earlier round may have asked a moment ago

    def add(self, target: Target, *, first: bool = False) -> None:
        """Put a URL among those due, unless it has been met before.

        One that is due as a page and turns out to be shown as a picture, such as a photograph that links to itself, is
        due as a picture: asked for as a page, its answer would not be wanted.
        """
        due = self._due.get(target.url)
        if due is not None and (due.kind, target.kind) == ("page", "image"):
            self._due[target.url] = target
        if target.url in self._seen or self._known(target.url):
            return
        self._seen.add(target.url)
        self._due[target.url] = target
        if first:
            self._due.move_to_end(target.url, last=False)

    async def visit_all(self, emit: Callable[[Visit], Awaitable[None]], deadline: float) -> None:
        """Visit what is due, and what it leads to on this host, until nothing is left or the round is over."""
        while self._due and self._may_go_on(deadline):
            _, target = self._due.popitem(last=False)
            visit = await self._visit(target)
            self._follow(target, visit)
            await emit(visit)

    def _may_go_on(self, deadline: float) -> bool:
        return (
            self._num_asked < self._settings.max_urls_per_host
            and self._num_failures < _MAX_HOST_FAILURES
            and time.monotonic() < deadline
        )

    def _follow(self, target: Target, visit: Visit) -> None:
        """Add what a visit leads to on this host; where a redirect leads comes first."""
        moved = visit.row.reason == "redirected"
        for link in visit.links:
            if host_of(link.to_url) == self._name and is_wanted(link, self._settings):
                redirects = (*target.redirects, target.url) if moved else ()
                self.add(replace(target_of(link), redirects=redirects), first=moved)

    async def _visit(self, target: Target) -> Visit:
        budget = self._settings.budget(target.kind)
        if self._spent[target.kind] >= budget:
            return unasked(target, "rejected", "budget", f"{budget} of this kind on this host", Asked())
        refused, rule = await self._ask_robots(target)
        if refused is not None:
            return refused
        site_signals = await self._site_files.signals(target.url, target.kind)
        stated = Asked(robots_rule=rule, site_signals=site_signals)
        if (opted_out := opted_out_unasked(target, stated, self._settings.opt_outs)) is not None:
            return opted_out
        answer = await self._asker.ask(
            target.url,
            accept=_ACCEPT[target.kind],
            max_bytes=self._settings.max_bytes(target.kind),
            is_body_wanted=lambda response: is_body_wanted(target, response, self._settings.opt_outs),
        )
        self._spent[target.kind] += 1
        self._num_asked += 1
        self._num_failures = self._num_failures + 1 if is_host_down(answer) else 0
        return self._judge(target, answer, Asked(answer.attempts, rule, timestamp(), site_signals))

    async def _ask_robots(self, target: Target) -> tuple[Visit | None, str]:
        """Return the visit of a URL that must not be asked for, else None; and the rule that decided."""
        robots = await self._asker.robots(target.url)
        if isinstance(robots, FetchError):
            return unanswered(target, robots, Asked(robots_rule="unavailable")), "unavailable"
        decision = robots.decide(PRODUCT, target.url)
        asked, delay_s = Asked(robots_rule=decision.rule), decision.delay_s or 0.0
        if not decision.allowed:
            return unasked(target, "rejected", "robots_disallowed", decision.rule, asked), decision.rule
        if delay_s > self._settings.max_delay_s:
            detail = f"robots.txt asks for {delay_s:g} s; the longest accepted is {self._settings.max_delay_s:g} s"
            return unasked(target, "failed", "crawl_delay_too_long", detail, asked), decision.rule
        self._asker.slow_down(self._name, delay_s)
        return None, decision.rule

    def _judge(self, target: Target, answer: Answer, asked: Asked) -> Visit:
        response = answer.outcome
        if isinstance(response, FetchError):
            return unanswered(target, response, asked)
        location = redirect_location(response, target.url)
        if location is None:
            return judge(target, response, asked, self._settings)
        fault = self._redirect_fault(target, location)
        if fault is not None:
            return misdirected(target, response, location, fault, asked)
        self._moved[target.url] = location
        return redirected(target, response, location, asked)

    def _redirect_fault(self, target: Target, location: str) -> str | None:
        """Return why a redirect leads nowhere, None where it is to be followed."""
        hop: str | None = location
        while hop is not None:
            if hop == target.url:
                return "redirect_loop"
            hop = self._moved.get(hop)
        return "too_many_redirects" if len(target.redirects) >= self._settings.max_redirects else None
