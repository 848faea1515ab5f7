"""What a plan says before anything is fetched: counts of lists, folders and archives, limits of sites, scaled costs."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from pipelines.folders import STAGE_NAMES
from tests.builds import manifest_of, seedbed

PROFILE: dict[str, Any] = {
    "date": "2026-11-29",
    "machine": "a calculator",
    "command": "by hand",
    "pages": 100,
    "page_bytes": 2_000_000,
    "pictures": 200,
    "picture_bytes": 10_000_000,
    "stages": {
        "crawl": {"records": 300, "kept": 300, "cpu_seconds": 3.0, "bytes": 6_000_000},
        "images": {"records": 200, "kept": 100, "cpu_seconds": 20.0, "bytes": 1_228_800, "units": 1_228_800},
        "text": {"records": 100, "kept": 50, "cpu_seconds": 5.0, "bytes": 500_000},
        "triplets": {
            "records": 100,
            "kept": 100,
            "samples": 500,
            "cpu_seconds": 2.0,
            "bytes": 32_220_000,
            "units": 30_720_000,
        },
        "windows": {
            "records": 50,
            "kept": 50,
            "samples": 1000,
            "cpu_seconds": 1.0,
            "bytes": 2_130_000,
            "units": 64_000,
        },
    },
}


@pytest.fixture
def no_web(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can be asked."""

    def refuse(*_: object) -> None:
        raise AssertionError("a plan opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def planned(folder: Path, sources: str, *more: str, stages: str = "images: {}\ntriplets: {}") -> dict[str, Any]:
    """The plan of a recipe, measured by hand, as JSON."""
    (folder / "profile.json").write_text(json.dumps(PROFILE))
    (folder / "recipe.yaml").write_text(
        f"name: planned\ncontact: you@example.org\ncrawl:\n  sources:\n{sources}\n{stages}\n"
    )
    done = seedbed("plan", folder / "recipe.yaml", "--profile", folder / "profile.json", "--json", *more)
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value | {stage["stage"]: stage for stage in value["stages"]}


@pytest.mark.usefixtures("no_web")
def test_lists_are_counted_by_host_and_what_lies_elsewhere_is_not_asked_for(tmp_path: Path) -> None:
    rows = [f"https://a.example/{n}.jpg" for n in range(900)] + [f"https://b.example/{n}.jpg" for n in range(300)]
    (tmp_path / "list.csv").write_text("\n".join(["url", *rows, "no address"]))
    files = f'["{tmp_path / "list.csv"}", "https://lists.example/more.parquet", "s3://bucket/lists/*.csv"]'
    plan = planned(tmp_path, f"    listed: {{source: urls, files: {files}}}", "--set", "crawl.delay_s=1.7")
    crawl = plan["crawl"]
    # 1,200 pictures; robots.txt, tdmrep.json and ai.txt of two hosts; the larger host takes 903 requests of 2 s each
    assert (crawl["records"], crawl["requests"], crawl["fetched_bytes"]) == (1200, 1206, 60_000_000)
    assert crawl["hours"] == pytest.approx(903 * 2.0 / 3600)
    assert plan["slowest_host"] == "a.example"
    assert not plan["is_limit"]
    assert crawl["cpu_hours"] == pytest.approx(12 / 3600)
    assert crawl["bytes"] == 30_000_000
    assert (plan["images"]["records"], plan["images"]["kept"]) == (1200, 600)
    assert plan["images"]["bytes"] == 600 * 64 * 64 * 3
    assert plan["images"]["cpu_hours"] == pytest.approx(120 / 3600)
    # five samples a picture, each of five values a pixel and channel, and what stands around them: 3,000 bytes
    assert plan["triplets"]["bytes"] == 600 * 5 * (64 * 64 * 3 * 5 + 3_000)
    assert plan["triplets"]["cpu_hours"] == pytest.approx(12 / 3600)
    (source,) = plan["sources"]
    assert "https://lists.example/more.parquet, s3://bucket/lists/*.csv" in source["said"][0]
    assert plan["total"]["cost"] == pytest.approx(
        (crawl["hours"] + 132 / 3600) * 0.05 + plan["total"]["bytes"] / 1e9 * 0.02
    )


@pytest.mark.usefixtures("no_web")
def test_budgets_of_a_host_hold_for_all_sources_together(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("\n".join(f"https://a.example/{name}/{n}.jpg" for n in range(80)))
    sources = "\n".join(f'    {name}: {{source: urls, files: ["{tmp_path / name}.txt"]}}' for name in ("one", "two"))
    plan = planned(tmp_path, sources, "--set", "crawl.max_pictures_per_host=100", "--set", "crawl.site_opt_outs=false")
    assert (plan["crawl"]["records"], plan["crawl"]["requests"]) == (100, 101)


@pytest.mark.usefixtures("no_web")
def test_folders_and_archives_are_counted_and_need_no_request(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("oak", "beech"):
        (folder / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(92))
        (folder / f"{name}.txt").write_text("its caption")
    (folder / "walk.html").write_text("<p>A walk.</p>")
    (tmp_path / "a.warc.gz").write_bytes(bytes(320_000))
    sources = (
        f'    mine: {{source: folder, path: "{folder}"}}\n    old: {{source: warc, files: ["{tmp_path}/*.warc.gz"]}}'
    )
    plan = planned(tmp_path, sources, stages="images: {}\ntext: {}\nwindows: {context: 128}")
    assert [plan["crawl"][name] for name in ("records", "requests", "hours", "fetched_bytes")] == [13, 0, 0.0, 0]
    assert (plan["images"]["records"], plan["text"]["records"]) == (2, 11)
    assert [source["read_bytes"] for source in plan["sources"]] == [200 + 14, 320_000]
    assert plan["slowest_host"] == ""
    # 1,280 tokens a document; a window of 129 takes 258 bytes, and 2,000 around them
    assert plan["windows"]["bytes"] == pytest.approx(plan["text"]["kept"] * 1_280 / 128 * (258 + 2_000), abs=1)


@pytest.mark.usefixtures("no_web")
def test_sites_and_services_are_taken_at_their_limits(tmp_path: Path) -> None:
    sources = """
    walk: {source: site, seeds: ["https://trees.example/", "https://oaks.example/"]}
    commons: {source: wikimedia, categories: [Oaks], max_files: 120, max_articles: 40, max_categories: 7}
    crawled: {source: commoncrawl, urls: [trees.example], max_records: 2000}"""
    limits = ("--set", "crawl.max_pages_per_host=50", "--set", "crawl.num_hosts=1", "--set", "crawl.delay_s=1.7")
    plan = planned(tmp_path, sources, *limits, stages="images: {}\ntext: {}")
    assert plan["is_limit"]
    walk, commons, crawled = 2 * (50 + 100 + 3), (120 + 3) + (40 + 3) + 7 + 3, 2000 + 2
    assert plan["crawl"]["requests"] == walk + commons + crawled
    assert plan["crawl"]["hours"] == pytest.approx((walk + commons + crawled) * 2.0 / 3600)
    assert plan["slowest_host"] == "data.commoncrawl.org"
    assert (plan["images"]["records"], plan["text"]["records"]) == (2 * 100 + 120, 2 * 50 + 40 + 2000)
    assert all(source["is_limit"] for source in plan["sources"])


def test_a_plan_with_the_profile_of_a_build_gives_what_that_build_was(built: Path, tmp_path: Path) -> None:
    measured = seedbed("plan", "--measure", built)
    assert measured.returncode == 0, measured.stderr
    (tmp_path / "profile.json").write_text(measured.stdout)
    profile = json.loads(measured.stdout)
    assert list(profile["stages"]) == sorted(STAGE_NAMES)
    assert profile["pages"] + profile["pictures"] == manifest_of(built, "crawl").counts.kept
    done = seedbed("plan", "demo", "--profile", tmp_path / "profile.json", "--json")
    assert done.returncode == 0, done.stderr
    stages = {stage["stage"]: stage for stage in json.loads(done.stdout)["stages"]}
    for stage in STAGE_NAMES[1:]:
        manifest, plan = manifest_of(built, stage), stages[stage]
        scale = plan["records"] / manifest.counts.records_in
        assert plan["kept"] == pytest.approx(manifest.counts.kept * scale, rel=0.01)
        assert plan["bytes"] == pytest.approx(sum(file.bytes for file in manifest.files) * scale, rel=0.02)
        run = json.loads((built / stage / manifest.fingerprint / "run.json").read_text())
        assert plan["cpu_hours"] == pytest.approx(run["cpu_seconds"] * scale / 3600, rel=0.02)


def test_the_table_fits_and_says_what_was_assumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = seedbed(
        "plan", "site", "--set", "contact=you@example.org", "--set", 'crawl.sources.site.seeds=["https://a.example/"]'
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].strip() == "What it would take, at most"
    assert [line.split()[0] for line in lines if "$" in line][:6] == [
        "crawl",
        "images",
        "text",
        "triplets",
        "windows",
        "all",
    ]
    assert "…" not in done.stdout
    assert "Longest at work: a.example." in lines
    for words in (
        "500 pages, as the recipe allows",
        "robots.txt may ask for more",
        "measured on 2026-",
        "an hour of one core",
    ):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["plan"], 2, "name what to plan for"),
        (["plan", "demo", "--measure", "OUT"], 2, "name what to plan for"),
        (["plan", "--measure", "nowhere"], 1, "nowhere holds no build to measure"),
        (["plan", "demo", "--profile", "nowhere.json"], 1, "make one: seedbed plan --measure OUT > nowhere.json"),
        (
            ["plan", "demo", "--set", 'crawl.sources.x={"source": "urls", "files": ["no.txt"]}'],
            1,
            "no.txt: no such file",
        ),
        (["plan", "demo", "--set", 'crawl.sources.x={"source": "folder", "path": "no"}'], 1, "no is no folder"),
    ],
)
def test_what_cannot_be_planned_is_told_in_a_line(
    arguments: list[str], status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = seedbed(*arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (status, 1)
    assert said in done.stderr


def test_a_stage_that_was_not_measured_is_said_to_cost_nothing_known(tmp_path: Path) -> None:
    sources = '    walk: {source: site, seeds: ["https://trees.example/"]}'
    plan = planned(tmp_path, sources, stages="images: {}\nscore: {topic: tree, require: false}\ntriplets: {}")
    assert (plan["score"]["kept"], plan["score"]["cpu_hours"]) == (plan["images"]["kept"], 0.0)
    assert any(line.startswith("score was not measured") for line in plan["assumptions"])
