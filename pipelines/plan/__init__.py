"""What a build would take, before anything is fetched: requests, hours, bytes, CPU hours and cost.

Sources are counted as far as that asks nobody; sites are taken at the limits that the recipe sets. Each stage is
scaled from a build that was measured; see `pipelines.plan.profile`.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pipelines.plan.asked import Asked, fetched_of, requests_of_hosts, what_is_asked
from pipelines.plan.profile import Profile, StageCost, array_bytes
from pipelines.recipe import Recipe, WindowsConfig
from shards.triplet import TripletSpec

RESPONSE_S = 0.3
"""Seconds that a host is taken to need for an answer."""


@dataclass(frozen=True)
class Prices:
    """What is paid, in US dollars."""

    cpu_hour: float = 0.05
    gigabyte_month: float = 0.02


@dataclass(frozen=True)
class StagePlan:
    """What one stage would take.

    Attributes:
        stage: which.
        records: that go in.
        kept: of them.
        cpu_hours: of work; of a crawl, which mostly waits, its hours are longer.
        bytes: written.
        requests: to the web.
        hours: that the crawl takes at the polite rate, however fast the machine.
        fetched_bytes: from the web.
        cost: in US dollars: a core for as long as the stage needs one, and a month of what it writes.
    """

    stage: str
    records: int
    kept: int
    cpu_hours: float
    bytes: int
    requests: int = 0
    hours: float = 0.0
    fetched_bytes: int = 0
    cost: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a build would take.

    Attributes:
        stages: in their order.
        sources: what each leads to.
        slowest_host: which holds the crawl up longest, "" where nobody is asked.
        is_limit: whether a source is taken at its limits, so that all numbers are the most there can be.
        assumptions: a line each.
    """

    stages: list[StagePlan]
    sources: list[Asked]
    slowest_host: str
    is_limit: bool
    assumptions: list[str] = field(default_factory=list)


def make_plan(recipe: Recipe, profile: Profile, prices: Prices) -> Plan:
    """What the stages of `recipe` would take.

    Raises:
        StageError: a list or a folder of this machine cannot be read.
    """
    sources = what_is_asked(recipe, profile)
    requests = requests_of_hosts(sources, recipe)
    stages = list(_stages(recipe, profile, sources, requests, prices))
    slowest = max(requests, key=lambda host: (requests[host], host), default="")
    is_limit = any(source.is_limit for source in sources)
    return Plan(stages, sources, slowest, is_limit, list(_assumptions(recipe, profile, prices, requests)))


def request_s(recipe: Recipe) -> float:
    """Seconds from one request to a host to the next."""
    crawl = recipe.crawl
    return RESPONSE_S + max(crawl.delay_s, min(crawl.response_time_multiple * RESPONSE_S, crawl.max_delay_s))


def polite_hours(requests: Counter[str], num_hosts: int, seconds: float) -> float:
    """Hours that it takes to ask each host so often, `num_hosts` of them at a time, so many seconds between two.

    >>> polite_hours(Counter({"a": 1800, "b": 600, "c": 600}), 2, 2.0)
    1.0
    """
    lanes = [0] * min(num_hosts, max(len(requests), 1))
    for _, count in requests.most_common():
        heapq.heappush(lanes, heapq.heappop(lanes) + count)
    return max(lanes) * seconds / 3600


_READS = {"images": "image", "score": "images", "text": "page", "triplets": "images", "windows": "text"}
"""What each stage is given: pictures or pages of the crawl, or what another stage keeps."""


def _stages(
    recipe: Recipe, profile: Profile, sources: list[Asked], requests: Counter[str], prices: Prices
) -> Iterator[StagePlan]:
    fetched: Counter[str] = Counter()
    for kind, count in fetched_of(sources, recipe):
        fetched[kind] += count
    kept = {
        "page": fetched["page"] + sum(source.pages for source in sources),
        "image": fetched["image"] + sum(source.pictures for source in sources),
    }
    fetched_bytes = round(fetched["page"] * profile.mean_page_bytes + fetched["image"] * profile.mean_picture_bytes)
    stored = profile.stages["crawl"].bytes / max(profile.page_bytes + profile.picture_bytes, 1)
    crawl = StagePlan(
        stage="crawl",
        records=sum(kept.values()),
        kept=sum(kept.values()),
        cpu_hours=_cpu_hours(profile.stages["crawl"], sum(kept.values())),
        bytes=round(fetched_bytes * stored) + sum(source.read_bytes for source in sources),
        requests=requests.total(),
        hours=polite_hours(requests, recipe.crawl.num_hosts, request_s(recipe)),
        fetched_bytes=fetched_bytes,
    )
    yield _priced(crawl, prices)
    for stage in recipe.stages()[1:]:
        source = "score" if stage == "triplets" and recipe.score else _READS[stage]
        planned = _scaled(stage, kept[source], recipe, profile)
        kept[stage] = planned.kept
        yield _priced(planned, prices)


def _scaled(stage: str, records: int, recipe: Recipe, profile: Profile) -> StagePlan:
    """What a stage would take that is given so many records, as the measured one took it."""
    cost = profile.stages.get(stage)
    if cost is None:
        return StagePlan(stage, records, records, 0.0, 0)
    kept = round(records * cost.kept / cost.records)
    if stage == "triplets" and cost.units:
        return _triplets(records, kept, recipe, cost)
    cpu_hours, num_bytes = _cpu_hours(cost, records), cost.bytes * records / cost.records
    if stage == "images" and recipe.images is not None and cost.units:
        num_bytes = cost.bytes * kept * recipe.images.size**2 * recipe.images.channels / cost.units
    elif stage == "windows" and recipe.windows is not None and cost.units and cost.samples:
        num_bytes = _window_bytes(recipe.windows, cost.units * records / cost.records, cost)
    return StagePlan(stage, records, kept, cpu_hours, round(num_bytes))


def _triplets(records: int, kept: int, recipe: Recipe, cost: StageCost) -> StagePlan:
    """What triplets would take: arrays of the recipe's size, and around each sample what was measured around one."""
    assert recipe.images is not None
    assert recipe.triplets is not None
    values = recipe.triplets.model_dump(exclude={"buckets", "max_shard_bytes"})
    values["variances"] = tuple(values["variances"])
    spec = TripletSpec(size=recipe.images.size, channels=recipe.images.channels, **values)
    num_samples = 1 if spec.mode == "virtual" else spec.samples_per_picture
    around = num_samples * (cost.bytes - cost.units) / max(cost.samples, 1)
    cpu_hours = cost.cpu_seconds / cost.units * kept * array_bytes(spec) / 3600
    return StagePlan("triplets", records, kept, cpu_hours, round(kept * (array_bytes(spec) + around)))


def _window_bytes(config: WindowsConfig, num_tokens: float, cost: StageCost) -> float:
    """What windows over so many tokens take: the tokens in them, and around each what was measured around one."""
    around = cost.bytes / cost.samples - 2 * (cost.units // cost.samples + 1)
    is_wide = config.tokenizer == "bpe" and config.vocab_size > 2**16
    num_windows = num_tokens / (config.stride or config.context)
    return num_windows * ((4 if is_wide else 2) * (config.context + 1) + around)


def _cpu_hours(cost: StageCost, records: int) -> float:
    return cost.cpu_seconds * records / cost.records / 3600


def _priced(planned: StagePlan, prices: Prices) -> StagePlan:
    core_hours = max(planned.cpu_hours, planned.hours)
    return replace(planned, cost=core_hours * prices.cpu_hour + planned.bytes / 1e9 * prices.gigabyte_month)


def _assumptions(recipe: Recipe, profile: Profile, prices: Prices, requests: Counter[str]) -> Iterator[str]:
    crawl = recipe.crawl
    if requests:
        yield (
            f"{request_s(recipe):.1f} s from one request to a host to the next (an answer takes {RESPONSE_S} s, the "
            f"recipe asks for {crawl.delay_s:g} s), {crawl.num_hosts} hosts at a time; robots.txt may ask for more, "
            "and what fails is asked again"
        )
        yield (
            f"a page has {profile.mean_page_bytes / 1e3:,.0f} kB and leads to {profile.pictures_per_page:.1f} pictures "
            f"of {profile.mean_picture_bytes / 1e3:,.0f} kB"
        )
    shares = ", ".join(
        f"{stage} {profile.stages[stage].kept / profile.stages[stage].records:.0%}"
        for stage in recipe.stages()[1:]
        if stage in profile.stages
    )
    yield f"what is kept, as measured: {shares or 'nothing was measured'}"
    for stage in recipe.stages():
        if stage not in profile.stages:
            yield f"{stage} was not measured: it is taken to keep everything, and what it takes is not counted"
    yield f"measured on {profile.date}: {profile.machine}; {profile.command}"
    yield f"${prices.cpu_hour:g} an hour of one core, ${prices.gigabyte_month:g} a GB kept for a month; traffic is free"
