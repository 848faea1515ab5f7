"""What there is to do on one host, and its visits: robots.txt first, then URL by URL, links on the host followed."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from crawl.asking import Answer, Asker, AskingOverError, Fetcher, NotOursError, is_host_down
from crawl.gates import Pauses
from crawl.http import FetchError
from crawl.records import Earlier, LinkRow, Target, Visit, link_of, target_of
from crawl.robots import Robots
from crawl.settings import PRODUCT, FetchSettings, HostSpent, is_wanted
from crawl.site_files import SiteFiles
from crawl.urls import host_of, origin_of, without_parameters
from crawl.visit import (
    Asked,
    conditions,
    is_body_wanted,
    judge,
    misdirected,
    opted_out_unasked,
    redirect_location,
    redirected,
    revived,
    timestamp,
    unanswered,
    unasked,
    unchanged,
)
from crawl.warc import StoredResponse, WarcError

_MAX_HOST_FAILURES = 5
"""URLs in a row that a host may leave without an answer before it is left alone, and all that is due there fails."""

_ACCEPT = {
    "page": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1",
    "sitemap": "application/xml,text/xml;q=0.9,*/*;q=0.1",
    "image": "image/avif,image/webp,image/png,image/jpeg,image/*;q=0.8,*/*;q=0.1",
}


class HostWork(NamedTuple):
    """What there is to do on one host.

    Attributes:
        host: its name.
        targets: URLs that are due, in the order in which they are asked for.
        known: URLs that have their ledger row already; they are never visited again.
        spent: what it was asked for in earlier rounds.
        earlier: what the snapshot before this one has, by URL.
        carried: URLs of targets that only the snapshot before links to; their links come out with their visits.
    """

    host: str
    targets: list[Target]
    known: Collection[str] = frozenset()
    spent: HostSpent = HostSpent()
    earlier: Mapping[str, Earlier] = {}
    carried: Collection[str] = frozenset()


def _recall_nothing(earlier: Earlier) -> StoredResponse:
    raise KeyError(earlier.warc_file)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a lane has to do with besides the web.

    Attributes:
        fetcher: makes the requests; None is a `Client` of the lane's own.
        pauses: what hosts have asked for, before and in this lane.
        is_forgotten: tells whether a URL is not to be met any more.
        may_ask: says before each request whether it may still begin.
        is_asked_before: whether another process may have asked these hosts a moment ago: each then begins with a pause.
        recall: reads what an earlier snapshot has of a URL.
        is_ours: tells which hosts nobody else asks meanwhile: a robots.txt may have moved to any.
        put_off: takes what is left to do on a host whose robots.txt has moved to one that is not ours.
    """

    fetcher: Fetcher | None = None
    pauses: Pauses = field(default_factory=dict)
    is_forgotten: Callable[[str], bool] = lambda url: False
    may_ask: Callable[[], bool] = lambda: True
    is_asked_before: bool = False
    recall: Callable[[Earlier], StoredResponse] = _recall_nothing
    is_ours: Callable[[str], bool] = lambda host: True
    put_off: Callable[[HostWork], None] = lambda work: None


class HostVisits:
    """What is due on one host, and how far we are with it."""

    def __init__(self, work: HostWork, asker: Asker, settings: FetchSettings, around: Surroundings) -> None:
        self._work = work
        self._name, self._known, self._earlier, self._carried = work.host, work.known, work.earlier, work.carried
        self._asker, self._settings, self._around = asker, settings, around
        self._site_files = SiteFiles(asker, settings)
        self._due: OrderedDict[str, Target] = OrderedDict()
        self._seen: set[str] = set()
        self._moved: dict[str, str] = {}
        self._spent = {"page": work.spent.pages, "image": work.spent.pictures, "sitemap": 0}
        self._sitemaps: tuple[LinkRow, ...] | None = None
        self._num_asked = 0
        self._num_failures = 0
        for target in work.targets:
            self.add(target)

    def add(self, target: Target, *, first: bool = False) -> None:
        """Put a URL among those due, unless it has been met before.

        One that is due as a page and turns out to be shown as a picture, such as a photograph that links to itself, is
        due as a picture: asked for as a page, its answer would not be wanted.
        """
        due = self._due.get(target.url)
        if due is not None and (due.kind, target.kind) == ("page", "image"):
            self._due[target.url] = target
        if target.url in self._seen or target.url in self._known or self._around.is_forgotten(target.url):
            return
        self._seen.add(target.url)
        self._due[target.url] = target
        if first:
            self._due.move_to_end(target.url, last=False)

    async def visit_all(self, emit: Callable[[Visit], Awaitable[None]], deadline: float) -> None:
        """Visit what is due, and what it leads to on this host, until nothing is left or the round is over.

        Where the host answers no more, what is left fails as "host_down": the next round would fare no better, a later
        run or snapshot may.
        """
        while self._due and self._may_go_on(deadline):
            _, target = self._due.popitem(last=False)
            try:
                visit = await self._visit(target)
            except AskingOverError:
                return
            except NotOursError:
                self._around.put_off(self._left(target))
                return
            if self._sitemaps:
                visit, self._sitemaps = replace(visit, links=(*self._sitemaps, *visit.links)), ()
            self._follow(target, visit)
            await emit(self._with_carried(target, visit))
        while self._due and self._num_failures >= _MAX_HOST_FAILURES:
            _, target = self._due.popitem(last=False)
            detail = f"{self._name} answered none of {self._num_failures} requests in a row"
            await emit(self._with_carried(target, unasked(target, "failed", "host_down", detail, Asked())))

    def _with_carried(self, target: Target, visit: Visit) -> Visit:
        """Return a visit with the link to its URL that only the snapshot before has, if it is such a one."""
        if target.url not in self._carried:
            return visit
        return replace(visit, links=(link_of(target, target.url), *visit.links))

    def _left(self, target: Target) -> HostWork:
        """Return what is left to do, from a target on."""
        targets = [target, *self._due.values()]
        known = {*self._known, *self._seen} - {each.url for each in targets}
        spent = HostSpent(self._spent["page"], self._spent["image"])
        return self._work._replace(targets=targets, known=known, spent=spent)

    def _may_go_on(self, deadline: float) -> bool:
        return (
            self._num_asked < self._settings.max_urls_per_host
            and self._num_failures < _MAX_HOST_FAILURES
            and asyncio.get_running_loop().time() < deadline
        )

    def _follow(self, target: Target, visit: Visit) -> None:
        """Add what a visit leads to on this host; where a redirect leads comes first."""
        for link in visit.links:
            moved = visit.row.reason == "redirected" and link.to_url == visit.row.final_url
            if host_of(link.to_url) == self._name and is_wanted(link, self._settings):
                self.add(target_of(link), first=moved)

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
        if (refusal := self._asker.refusal(self._name)) is not None:
            return unanswered(target, refusal, Asked(robots_rule=rule))
        earlier = self._earlier.get(target.url)
        answer = await self._ask(target, earlier)
        asked = Asked(answer.attempts, rule, timestamp(), site_signals)
        try:
            visit = self._judge(target, answer, asked, earlier)
        except (WarcError, OSError):  # it has not changed, and what the earlier snapshot has of it is damaged
            answer, earlier = await self._ask(target, None), None
            asked = Asked(asked.attempts + answer.attempts, rule, timestamp(), site_signals)
            visit = self._judge(target, answer, asked, earlier)
        return unchanged(visit, earlier) if earlier is not None and self._is_held(earlier, visit) else visit

    def _is_held(self, earlier: Earlier, visit: Visit) -> bool:
        """Return whether what a visit brought can be read in an earlier snapshot."""
        if visit.row.status == 304:
            return True  # it has just been read there
        try:
            return visit.row.sha256 == earlier.sha256 and self._around.recall(earlier).payload == visit.payload
        except (WarcError, OSError):
            return False

    async def _ask(self, target: Target, earlier: Earlier | None) -> Answer:
        """Ask for a URL, where an earlier snapshot has it on the condition that it has changed."""
        answer = await self._asker.ask(
            target.url,
            accept=_ACCEPT[target.kind],
            max_bytes=self._settings.max_bytes(target.kind),
            is_body_wanted=lambda response: is_body_wanted(target, response, self._settings.opt_outs),
            conditions=None if earlier is None else conditions(earlier),
        )
        self._spent[target.kind] += 1
        self._num_asked += 1
        self._num_failures = self._num_failures + 1 if is_host_down(answer) else 0
        return answer

    async def _ask_robots(self, target: Target) -> tuple[Visit | None, str]:
        """Return the visit of a URL that must not be asked for, else None; and the rule that decided."""
        robots = await self._asker.robots(target.url)
        if isinstance(robots, FetchError):
            return unanswered(target, robots, Asked(robots_rule="unavailable")), "unavailable"
        if self._sitemaps is None:
            self._sitemaps = self._sitemap_links(robots, origin_of(target.url))
        decision = robots.decide(PRODUCT, target.url)
        if not decision.allowed:
            asked = Asked(robots_rule=decision.rule)
            return unasked(target, "rejected", "robots_disallowed", decision.rule, asked), decision.rule
        return None, decision.rule

    def _sitemap_links(self, robots: Robots, origin: str) -> tuple[LinkRow, ...]:
        """Return links to the sitemaps that a robots.txt names, for each source that reads them."""
        sources = self._settings.sources_of(self._name) if robots.sitemaps else []
        return tuple(
            LinkRow(f"{origin}/robots.txt", url, "sitemap", source=source)
            for source in sources
            for url in robots.sitemaps
        )

    def _judge(self, target: Target, answer: Answer, asked: Asked, earlier: Earlier | None) -> Visit:
        response = answer.outcome
        if isinstance(response, FetchError):
            return unanswered(target, response, asked)
        if response.status == 304 and earlier is not None:
            visit = judge(target, revived(response, self._around.recall(earlier)), asked, self._settings)
            return replace(visit, row=replace(visit.row, status=304))
        location = redirect_location(response, target.url)
        if location is None:
            return judge(target, response, asked, self._settings)
        known_as = without_parameters(location, self._settings.drop_parameters)
        location = location if known_as == target.url else known_as  # a site may insist on its own parameters
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
        return "too_many_redirects" if target.num_redirects >= self._settings.max_redirects else None
