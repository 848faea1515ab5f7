"""A live crawl by two workers of a cluster keeps what it promised to hosts, by their own log, also with one cut off."""

import itertools
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from pathlib import Path

import pytest

from pipelines.frontier import slot_of
from shards.manifest import Manifest
from shards.object_path import ObjectPath
from tests.builds import manifest_of, seedbed, started_seedbed, table_rows, wait_for
from tests.cluster import network, running
from tests.cluster.layout import Cluster
from tests.cluster.standing import in_store, options, standing, take_keys
from tests.loopback import NOT_FOUND, SITE_FILES, Answer, Exchange, Site, serve

HOSTS = tuple(f"h{number:02d}.example" for number in range(20))
SLOW_HOSTS = frozenset(HOSTS[::5])
"""Their robots.txt asks for a longer delay than the recipe's."""
DELAY_S, CRAWL_DELAY_S, RESPONSE_S, RESPONSE_MULTIPLE = 1.0, 1.5, 0.2, 2.0
NUM_PAGES = 32
"""Of each host: with a pause before each of them, a lane takes longer than Flink to miss its worker."""
ONE_SEGMENT = ("--set", "crawl.records_per_segment=10000", "--set", "crawl.segment_time_s=600")
"""A lane whose worker commits once, at its end: until then it has no way to hear that another has begun it again."""
RECIPE = f"""
name: twenty
contact: gardener@example.org
crawl:
  sources: {{twenty: {{source: site, seeds: [{", ".join(f'"http://{host}/"' for host in HOSTS)}]}}}}
  allow_hosts: [{", ".join(HOSTS)}]
  delay_s: {DELAY_S}
  response_time_multiple: {RESPONSE_MULTIPLE}
  connections_per_address: 20
  records_per_segment: 10
"""


def answer(host: str, path: str) -> Answer:
    """Each page links to two more, to one that is forbidden, and to a page of the next host."""
    time.sleep(RESPONSE_S)
    if path == "/robots.txt":
        delay = f"Crawl-delay: {CRAWL_DELAY_S:g}\n" if host in SLOW_HOSTS else ""
        return Answer(200, {"Content-Type": "text/plain"}, f"User-agent: *\n{delay}Disallow: /no/".encode())
    number = path.strip("/") or "0"
    if not number.isdigit() or int(number) >= NUM_PAGES:
        return NOT_FOUND
    following = HOSTS[(HOSTS.index(host) + 1) % len(HOSTS)]
    more = [str(each) for each in (2 * int(number) + 1, 2 * int(number) + 2) if each < NUM_PAGES]
    links = [f"/{each}" for each in (*more, f"no/{number}")] + [f"http://{following}{path}"]
    body = f"<p>{host} {path}</p>" + "".join(f'<a href="{link}">a</a>' for link in links)
    return Answer(200, {"Content-Type": "text/html"}, body.encode())


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with standing(Cluster(f"c{os.getpid()}", slots=2)) as one:
        yield one


@pytest.fixture
def out(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    take_keys(cluster, monkeypatch)
    return in_store()


@contextmanager
def site_of(cluster: Cluster) -> Iterator[Site]:
    """All hosts, at the site's address, which the machine itself does not reach: it is left again before the build."""
    with ExitStack() as stack:
        with network.entered(cluster, "site"):
            site = stack.enter_context(serve(answer, address=cluster.address("site")))
        yield site


def command(
    cluster: Cluster, site: Site, folder: Path, out: ObjectPath, workers: int, more: tuple[str, ...] = ()
) -> list[str]:
    recipe = folder / "twenty.yaml"
    recipe.write_text(RECIPE)
    settings = ("--set", site.connect_to(*HOSTS), *more)
    return ["crawl", str(recipe), "--out", str(out), "--workers", str(workers), *settings, *options(cluster)]


def promised_s(before: Exchange) -> float:
    """The least pause between the end of a request and the beginning of the next."""
    crawl_delay_s = CRAWL_DELAY_S if before.host in SLOW_HOSTS else 0.0
    return max(DELAY_S, crawl_delay_s, RESPONSE_MULTIPLE * (before.end - before.begin))


def broken_promises(log: Iterable[Exchange]) -> list[str]:
    """Each pause of a host that was too short, or none at all, and each connection that was used beside another."""
    by_host: defaultdict[str, list[Exchange]] = defaultdict(list)
    for exchange in log:
        by_host[exchange.host].append(exchange)
    found = []
    for host, exchanges in by_host.items():
        exchanges.sort(key=attrgetter("begin"))
        for before, after in itertools.pairwise(exchanges):
            if after.begin - before.end < promised_s(before):
                found.append(f"{host}: {after.begin - before.end:.3f} s between {before} and {after}")
        connections = [client for client, _ in itertools.groupby(exchange.client for exchange in exchanges)]
        if len(connections) != len(set(connections)):
            found.append(f"{host}: connections were used in turns: {connections}")
    return found


def check(site: Site, out: ObjectPath) -> None:
    """Checks the log, and that all pages were kept, and none that is forbidden."""
    assert broken_promises(site.log) == []
    assert {exchange.host for exchange in site.log} == {*HOSTS}
    assert not [exchange for exchange in site.log if exchange.path.startswith("/no/")]
    rows = {row["url"]: (row["fate"], row["reason"]) for row in table_rows(out, "crawl", "ledger-")}
    names = [str(number or "") for number in range(NUM_PAGES)]
    expected = {f"http://{host}/{name}": ("kept", "") for host in HOSTS for name in names}
    forbidden = {f"http://{host}/no/{number}" for host in HOSTS for number in range(NUM_PAGES)}
    assert rows == expected | dict.fromkeys(forbidden, ("rejected", "robots_disallowed"))
    manifest = manifest_of(out, "crawl")
    assert manifest.counts.is_balanced()
    assert manifest.counts.records_in == len(rows)
    print(f"settled by round and lane: {settled_in(manifest)}")


def settled_in(manifest: Manifest) -> dict[str, int]:
    """How many URLs each attempt at a lane has settled.

    A lane that is begun again in a round takes up what was due when the round began: what pages have led to since that
    the attempts before have settled is due in the next round.
    """
    settled: Counter[str] = Counter()
    for file in manifest.files:
        if file.path.startswith("ledger-"):
            settled[file.path.removeprefix("ledger-").rpartition("-")[0]] += file.records
    return dict(settled)


def visitor(cluster: Cluster, exchange: Exchange) -> str:
    """The worker that asked."""
    names = {network.site_address(cluster, worker): worker for worker in cluster.workers}
    return names[exchange.client[0]]


def visitors(cluster: Cluster, log: Iterable[Exchange]) -> set[str]:
    """The workers that have asked."""
    return {visitor(cluster, exchange) for exchange in log}


def hosts_of(cluster: Cluster, site: Site, worker: str) -> set[str]:
    """The hosts that a worker has asked."""
    return {exchange.host for exchange in list(site.log) if visitor(cluster, exchange) == worker}


def begun_again(out: ObjectPath) -> set[str]:
    """The lanes of the first round of which a second attempt runs, by their numbers."""
    attempts = [name.rpartition("/")[2] for name in (out / "crawl").listing() if "/attempts/" in name]
    return {lane for lane in ("00", "01") if f"001-{lane}.1" in attempts}


@pytest.mark.cluster
@pytest.mark.slow
def test_two_workers_ask_each_host_as_one_would(cluster: Cluster, out: ObjectPath, tmp_path: Path):
    with site_of(cluster) as site:
        done = seedbed(*command(cluster, site, tmp_path, out, workers=4))
    assert done.returncode == 0, done.stderr
    check(site, out)
    assert visitors(cluster, site.log) == {"w1", "w2"}
    assert len(site.log) == len(HOSTS) * (NUM_PAGES + len(SITE_FILES)), "nothing was asked for twice"


@pytest.mark.cluster
@pytest.mark.slow
def test_of_two_workers_that_have_a_lane_at_the_same_time_one_asks(cluster: Cluster, out: ObjectPath, tmp_path: Path):
    """Flink begins the lanes anew of a worker that it lost, and that sees store and site: its leases hold."""
    with (
        site_of(cluster) as site,
        started_seedbed(*command(cluster, site, tmp_path, out, 2, ONE_SEGMENT)) as process,
    ):
        ill = ill_worker(cluster, site, len(SITE_FILES))
        network.cut_flink(cluster, ill)
        hosts = hosts_of(cluster, site, ill)
        lanes = {f"{slot_of(host) % 2:02d}" for host in hosts}
        wait_for(lambda: lanes <= begun_again(out), "its lanes to be begun again", timeout_s=120)
        began = time.monotonic()
        (well,) = {*cluster.workers} - {ill}
        wait_for(lambda: hosts & hosts_of(cluster, site, well), "the other worker to ask there", timeout_s=300)
        network.mend(cluster, ill)
        output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    check(site, out)
    asked_twice = [exchange for exchange in site.log if exchange.host in hosts]
    late = [each for each in asked_twice if visitor(cluster, each) == ill and each.begin > began]
    assert {each.host for each in late} == hosts, "else no host was in danger of being asked by two"
    print(f"{len(late)} requests by {ill} in {max(each.end for each in late) - began:.1f} s since its lanes ran twice")
    for host in hosts:
        last = max(each.end for each in late if each.host == host)
        others = [each.begin for each in asked_twice if each.host == host and visitor(cluster, each) == well]
        assert min(others) > last
    running.wait_for(cluster, lambda: running.num_workers(cluster) == cluster.num_workers, "all workers")


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize("cut_s", [150, 20], ids=["longer than a lease", "shorter than a lease"])
def test_a_worker_cut_off_the_cluster_but_not_off_the_site_breaks_no_promise(
    cluster: Cluster, out: ObjectPath, tmp_path: Path, cut_s: int
):
    """Without the store it can neither renew its leases nor commit; it asks on for as long as it needs neither."""
    with (
        site_of(cluster) as site,
        started_seedbed(*command(cluster, site, tmp_path, out, workers=2)) as process,
    ):
        ill = ill_worker(cluster, site, len(SITE_FILES) + NUM_PAGES // 4)
        network.cut(cluster, ill, (network.CLUSTER,))
        time.sleep(cut_s)
        network.mend(cluster, ill)
        output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    check(site, out)
    running.wait_for(cluster, lambda: running.num_workers(cluster) == cluster.num_workers, "all workers")
    assert visitors(cluster, site.log) == {"w1", "w2"}


def ill_worker(cluster: Cluster, site: Site, num_asked: int) -> str:
    """One of those that ask, when each host was asked so many times, about."""
    wait_for(lambda: len(site.log) > num_asked * len(HOSTS), "the middle of the crawl", timeout_s=180)
    return min(visitors(cluster, list(site.log)))
