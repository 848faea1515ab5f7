"""Opt-outs that hold for a whole site: its tdmrep.json and ai.txt, each asked for once, after robots.txt."""

from dataclasses import dataclass

from crawl.ai_txt import MAX_AI_TXT_BYTES, NO_AI_TXT, AiTxt, parse_ai_txt
from crawl.asking import Asker
from crawl.http import FetchError
from crawl.opt_outs import AI_TXT_DISALLOWED, TDM_RESERVED
from crawl.records import Kind
from crawl.robots import MAX_ROBOTS_REDIRECTS
from crawl.settings import PRODUCT, FetchSettings
from crawl.tdmrep import MAX_TDMREP_BYTES, TdmRep, parse_tdmrep
from crawl.urls import host_of, origin_of
from crawl.visit import redirect_location

_TDMREP, _AI_TXT = "/.well-known/tdmrep.json", "/ai.txt"


@dataclass(frozen=True, slots=True)
class SiteStatements:
    """What the files of one origin state."""

    tdmrep: TdmRep
    ai_txt: AiTxt

    def signals(self, url: str, kind: Kind) -> frozenset[str]:
        """Return the opt-outs stated for a URL of this origin."""
        signals = {TDM_RESERVED: self.tdmrep.reserves(url), AI_TXT_DISALLOWED: self.ai_txt.disallows(url, kind)}
        return frozenset(signal for signal, is_stated in signals.items() if is_stated)


class SiteFiles:
    """Asks the origins of one host for their files, with the manners of everything else that is asked for.

    A file that cannot be had, whether there is none (404) or the server fails (5xx, timeout), states nothing: the TDM
    Reservation Protocol reads it so ("does not implement this protocol"), neither file is owed as robots.txt is, and
    what an owner reserves mostly stands in headers and pages too. Nor is a host asked that wants to be left alone for
    longer than we wait. A redirect to another host is not followed, as that host may be another worker's; one that
    robots.txt disallows is not asked for either.
    """

    def __init__(self, asker: Asker, settings: FetchSettings) -> None:
        self._asker, self._settings = asker, settings
        self._stated: dict[str, SiteStatements] = {}

    async def signals(self, url: str, kind: Kind) -> frozenset[str]:
        """Return the opt-outs that a URL's origin states for it; robots.txt must have been asked for."""
        origin = origin_of(url)
        if origin not in self._stated:
            self._stated[origin] = await self._ask(origin)
        return self._stated[origin].signals(url, kind)

    async def _ask(self, origin: str) -> SiteStatements:
        wanted, respected = self._settings.site_opt_outs, self._settings.opt_outs
        tdmrep = await self._body(origin + _TDMREP, MAX_TDMREP_BYTES) if wanted and respected.tdm else None
        ai_txt = await self._body(origin + _AI_TXT, MAX_AI_TXT_BYTES) if wanted and respected.ai_txt else None
        return SiteStatements(
            tdmrep=TdmRep() if tdmrep is None else parse_tdmrep(tdmrep),
            ai_txt=NO_AI_TXT if ai_txt is None else parse_ai_txt(ai_txt, PRODUCT),
        )

    async def _body(self, url: str, max_bytes: int) -> bytes | None:
        """Return a file, cut at so many bytes, None where it cannot be had."""
        host = host_of(url)
        for _ in range(MAX_ROBOTS_REDIRECTS + 1):
            robots = await self._asker.robots(url)
            if isinstance(robots, FetchError) or not robots.decide(PRODUCT, url).allowed:
                return None
            if self._asker.refusal(host) is not None:
                return None
            answer = await self._asker.ask(
                url,
                accept="application/json,text/plain;q=0.9,*/*;q=0.5",
                max_bytes=max_bytes,
                is_body_wanted=lambda response: response.status == 200,
                cut=True,
            )
            if isinstance(answer.outcome, FetchError):
                return None
            location = redirect_location(answer.outcome, url)
            if location is None:
                return answer.outcome.body
            if host_of(location) != host:
                return None
            url = location
        return None
