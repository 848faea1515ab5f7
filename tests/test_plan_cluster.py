"""What a Flink cluster is said to take: by hand on round numbers, and as the command tells it of the measured ones."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest

from crawl.similar_pairs import MAX_AMONG, count_tasks
from pipelines.plan.cluster import (
    SIZES,
    Cluster,
    FlinkStage,
    Machines,
    Search,
    plan_cluster,
    read_cluster,
)
from pipelines.recipe import ImagesConfig
from pipelines.section import MAX_BUCKETS
from tests.builds import seedbed

STAGE: dict[str, Any] = {
    "overhead_s": 18,
    "flink_s": 6,
    "tasks": 20,
    "python_ms": 15,
    "taskmanager_ms": 3,
    "store_ms": 1,
    "shuffled_bytes": 400,
    "largest_shuffle_bytes": 100,
    "link_bytes": 125_000,
    "written_bytes": 10_000,
    "kept": 0.5,
}
ROUND = Cluster(
    date="2026-11-30",
    machine="a calculator",
    command="by hand",
    pictures=1_000,
    picture_bytes=60_000,
    load=0,
    busy=0.5,
    python_mb=300,
    pool_mb=200,
    taskmanager_mb=700,
    jvm_share=0.25,
    stages={"images": FlinkStage(**STAGE), "triplets": FlinkStage(**STAGE | {"kept": 1.0, "written_bytes": 50_000})},
    search=Search(pictures=1_000, linear_us=100, square_ps=1.0, serial_us=5),
)
"""One picture takes 18 ms of a core that is busy half of the time, in each of two stages: images let half through."""


def test_round_numbers_add_up_as_by_hand() -> None:
    plan = plan_cluster(ROUND, 2_000_000, Machines(cores=10, gigabits=10), machines=3)
    # 2 million in the one stage, 1 in the other; 18 ms / 10 cores / 0.5 = 3.6 ms of a machine, 0.1 ms of its link
    # and near duplicates: a · N + b · N² over the eight tasks of so small a search, then c · N by one
    assert plan.search_hours == pytest.approx(((2e6 * 100e-6 + 2e6**2 * 1e-12) / 8 + 2e6 * 5e-6) / 3600)
    assert plan.hours == pytest.approx(36 / 3600 + 3_000_000 * 3.6e-3 / 3 / 3600 + plan.search_hours)
    assert plan.core_hours == pytest.approx((3_000_000 * 18e-3 + 2e6 * 100e-6 + 2e6**2 * 1e-12) / 3600)
    assert (plan.shuffled_bytes, plan.link_bytes) == (3_000_000 * 400, 3_000_000 * 125_000)
    assert plan.written_bytes == 2_000_000 * 10_000 + 1_000_000 * 50_000
    assert (plan.machines, plan.buckets) == (3, 30)
    assert plan_cluster(ROUND, 2_000_000_000, Machines(10), 3).buckets == 14_000
    assert plan_cluster(ROUND, 20_000_000_000, Machines(10), 3).buckets == MAX_BUCKETS


def test_a_slow_network_is_what_it_takes() -> None:
    fast, slow = (plan_cluster(ROUND, 10**6, Machines(10, gigabits), machines=2) for gigabits in (10, 0.1))
    assert slow.hours - slow.search_hours == pytest.approx(36 / 3600 + 1_500_000 * 125_000 / 12.5e6 / 2 / 3600)
    assert slow.hours > fast.hours
    assert slow.core_hours == fast.core_hours


@pytest.mark.parametrize("cost", [ROUND, read_cluster()])
@pytest.mark.parametrize("hours", [2.0, 24.0, 200.0])
def test_the_machines_are_the_fewest_that_do_it_in_time(cost: Cluster, hours: float) -> None:
    for pictures in SIZES:
        plan = plan_cluster(cost, pictures, Machines(), hours=hours)
        assert plan.hours <= hours
        if plan.machines > 1:
            assert plan_cluster(cost, pictures, Machines(), plan.machines - 1).hours > hours


@pytest.mark.parametrize("cost", [ROUND, read_cluster()])
def test_more_pictures_take_more_and_more_machines_less(cost: Cluster) -> None:
    by_size = [plan_cluster(cost, pictures, Machines(), machines=8) for pictures in (1, 1_000, *SIZES)]
    for few, many in pairwise(by_size):
        for name in ("hours", "search_hours", "core_hours", "shuffled_bytes", "link_bytes", "written_bytes"):
            assert getattr(few, name) < getattr(many, name), name
        assert few.buckets <= many.buckets
    by_machines = [plan_cluster(cost, 10**8, Machines(), machines=number) for number in (1, 2, 16, 1_000)]
    for few, many in pairwise(by_machines):
        assert few.hours > many.hours
        assert few.search_hours > many.search_hours
        assert few.core_hours == many.core_hours


def test_the_search_grows_with_the_pairs_and_with_the_pieces_among_which_it_looks() -> None:
    search = ROUND.search.model_copy(update={"serial_us": 0.0})
    count = 3 * MAX_AMONG
    assert search.hours(count, 100) == pytest.approx(count * (3 * 100e-6 + 1e-12 * count) / 100 / 3600)
    assert search.hours(count, 10**6) == search.hours(count, count_tasks(count))


def test_what_was_measured_keeps_the_law_of_shuffles() -> None:
    cost = read_cluster()
    assert list(cost.stages) == ["images", "triplets"]
    assert cost.pictures >= 5_000
    for stage in cost.stages.values():
        assert 0 < stage.largest_shuffle_bytes <= min(500, stage.shuffled_bytes)
        assert stage.shuffled_bytes < stage.link_bytes


def test_the_command_tells_three_sizes_and_what_was_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = seedbed("plan", "--cluster")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if " M " in line] == ["1", "100", "1,000"]
    assert "…" not in done.stdout
    for words in (
        "s to start and end",
        "bytes shuffled",
        "a slot takes",
        "assumed, not measured",
        "near duplicates: each picture is looked up among all, 8,388,608 at a time",
        f"{read_cluster().search.serial_us:.1f} µs a picture in one task alone",
        "pictures stand on one page each",
    ):
        assert words in done.stdout


def test_no_size_is_too_large_for_the_table_or_for_a_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    sizes = [10**6, 10**10, 10**18]
    asked = [part for size in sizes for part in ("--pictures", str(size))]
    for more in (("--hours", "1e20"), ("--machines", str(10**9))):
        done = seedbed("plan", "--cluster", *asked, *more)
        assert done.returncode == 0, done.stderr
        rows = [line.split() for line in done.stdout.splitlines() if " M " in line and "pictures:" not in line]
        assert [len(row) for row in rows] == [10, 10, 10]
        assert "…" not in done.stdout
        assert re.search(r"10,000 M pictures: a recipe takes 65,536 buckets at most, of \d\d GB each", done.stdout)
    for plan in json.loads(seedbed("plan", "--cluster", *asked, *more, "--json").stdout)["plans"]:
        assert ImagesConfig(buckets=plan["buckets"])


def test_what_no_number_of_machines_does_is_told() -> None:
    done = seedbed("plan", "--cluster", "--hours", "0.001")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert re.search(r"0.001 hours cannot be: 1,000,000 pictures take 0\.0\d\d on any number of machines", done.stderr)


def test_sizes_machines_and_hours_are_those_asked_for() -> None:
    given = json.loads(
        seedbed("plan", "--cluster", "--pictures", "7000000", "--machines", "3", "--cores", "4", "--json").stdout
    )
    (plan,) = given["plans"]
    assert (plan["pictures"], plan["machines"], given["machines"]["cores"]) == (7_000_000, 3, 4)
    assert given["measured"] == read_cluster().model_dump(mode="json")
    found = json.loads(
        seedbed(
            "plan", "--cluster", "--pictures", "7000000", "--hours", str(plan["hours"]), "--cores", "4", "--json"
        ).stdout
    )
    assert found["plans"][0]["machines"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cluster", "--machines", "2", "--hours", "3"], "one of them follows from the other"),
        (["demo", "--cluster"], "name what to plan for"),
        (["--cluster", "--pictures", "9" * 400], "should be less than or equal to 1000000000000000000"),
        (["demo", "--machines", "2"], "Invalid value for --machines: only with --cluster"),
        (["demo", "--cores", "16"], "Invalid value for --cores: only with --cluster"),
        (["demo", "--gigabits", "10"], "Invalid value for --gigabits: only with --cluster"),
        (["--cluster", "--profile", "profile.json"], "Invalid value for --profile: only with RECIPE"),
        (["--cluster", "--set", "name=oaks"], "Invalid value for --set: only with RECIPE"),
        (["--cluster", "--cpu-price", "0"], "Invalid value for --cpu-price: only with RECIPE"),
        (["--cluster", "--gb-price", "0"], "Invalid value for --gb-price: only with RECIPE"),
        (["--measure", ".", "--set", "name=oaks"], "Invalid value for --set: only with RECIPE"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(arguments: list[str], said: str) -> None:
    done = seedbed("plan", *arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr
