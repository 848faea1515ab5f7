"""What goes wrong for people: one clear line that says what, where and what would do; nothing half done; run again."""

import io
import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.builds import (
    SEEDBED,
    is_gone,
    manifest_bytes,
    manifest_of,
    seedbed,
    seedbed_process,
    start_seedbed,
    wait_for,
    workers_of,
)
from tests.loopback import Answer, Site, free_port, pages, serve

RECIPE = """
name: grove
contact: gardener@example.org
crawl:
  sources: {grove: {source: site, seeds: ["http://grove.example/"]}}
  allow_hosts: [grove.example]
  delay_s: 0
  timeout_s: 5
  max_attempts: 1
images: {size: 16}
text: {gopher_quality: {min_words: 20}, min_sentences: 1}
triplets: {}
windows: {context: 8}
"""
NUM_TREES = 12
WORDS = (
    "the",
    "old",
    "oak",
    "stands",
    "by",
    "quiet",
    "river",
    "and",
    "its",
    "leaves",
    "turn",
    "when",
    "autumn",
    "comes",
)
MANY_SHARDS = ("--set", "triplets.draws=20", "--set", "triplets.max_shard_bytes=65536")
FORBIDDING = Answer(200, {"Content-Type": "text/plain"}, b"User-agent: *\nDisallow: /\n")

Content = Mapping[str, bytes | str | Answer]


def picture(number: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def prose(number: int) -> str:
    drawn = random.Random(number)
    return " ".join(" ".join(drawn.choices(WORDS, k=9)).capitalize() + "." for _ in range(16))


def tree(number: int) -> str:
    return f'<article><p>{prose(number)}</p><img src="/{number}.png" alt="tree {number}"></article>'


GROVE: Content = {
    "/": "".join(f'<a href="/{number}.html">tree {number}</a> ' for number in range(NUM_TREES)),
    **{f"/{number}.html": tree(number) for number in range(NUM_TREES)},
    **{f"/{number}.png": picture(number) for number in range(NUM_TREES)},
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "grove.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serve(pages(GROVE)) as running:
        yield running


@pytest.fixture(scope="module")
def built(recipe: Path, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grove, built; its triplets in many shards, and undisturbed."""
    out = tmp_path_factory.mktemp("built")
    pictures_only = ("--set", "text=null", "--set", "windows=null")
    done = seedbed("build", *arguments(recipe, site, out), *pictures_only, *MANY_SHARDS, "--workers", "1")
    assert done.returncode == 0, done.stderr
    return out


def arguments(recipe: Path, site: Site, out: Path) -> list[str]:
    return [str(recipe), "--out", str(out), "--set", site.connect_to("grove.example")]


def copy_of(built: Path, out: Path, *stages: str) -> Path:
    for stage in stages:
        shutil.copytree(built / stage, out / stage)
    return out


def folder_of(out: Path, stage: str) -> Path:
    return out / stage / manifest_of(out, stage).fingerprint


def refusal(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """The one line that a failed command says."""
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("seedbed: ")
    return line.removeprefix("seedbed: ")


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system in memory on `folder`; skips the test where mounting is not allowed."""
    folder.mkdir()
    if shutil.which("mount") is None or _mount("-t", "tmpfs", "-o", options, "tmpfs", str(folder)).returncode:
        pytest.skip("a file system of its own cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["mount", *options], capture_output=True, check=False)


# Seeds


def test_a_server_that_is_down_is_named_and_the_same_command_works_once_it_is_up(recipe: Path, tmp_path: Path):
    down = Site(free_port())
    command = ["crawl", *arguments(recipe, down, tmp_path)]
    line = refusal(seedbed(*command))
    assert line.startswith("crawl: nothing could be fetched; http://grove.example/: connection_failed: robots.txt: ")
    assert line.endswith("(is the server up? run again when it is)")
    assert not list(tmp_path.rglob("manifest.json"))
    with serve(pages({"/": tree(0), "/0.png": picture(0)}), port=down.port):
        again = seedbed(*command)
    assert again.returncode == 0, again.stderr
    assert manifest_of(tmp_path, "crawl").counts.kept == 2


def test_seeds_out_of_reach_are_named(recipe: Path, site: Site, tmp_path: Path):
    asked = len(site.requests)
    seeds = "crawl.sources.grove.seeds=['http://grove.invalid/', 'http://grove.example/']"
    more = ("--set", seeds, "--set", "crawl.allow_hosts=[]")
    line = refusal(seedbed("crawl", *arguments(recipe, site, tmp_path), *more))
    assert line.startswith("crawl: nothing could be fetched; ")
    assert "http://grove.invalid/: dns_failed: robots.txt: " in line
    assert "(check the spelling, and the network)" in line
    assert "http://grove.example/: address_refused: robots.txt: grove.example is at 127.0.0.1 (loopback)" in line
    assert "(if that machine is yours, name the host under crawl.allow_hosts)" in line
    assert len(site.requests) == asked
    assert not list(tmp_path.rglob("*.parquet"))


# Sites with little on them


def test_sites_that_give_nothing_say_why(recipe: Path, tmp_path: Path):
    def answer(host: str, path: str) -> Answer:
        return pages({"/": tree(0), "/robots.txt": FORBIDDING} if host == "closed.example" else {})(host, path)

    hosts = ("grove.example", "closed.example")
    with serve(answer) as empty:
        settings = (
            empty.connect_to(*hosts),
            "crawl.allow_hosts=[grove.example, closed.example]",
            "crawl.sources.grove.seeds=['http://grove.example/', 'http://closed.example/']",
        )
        more = [part for setting in settings for part in ("--set", setting)]
        line = refusal(seedbed("crawl", recipe, "--out", tmp_path, *more))
    assert sorted(line.removeprefix("crawl: nothing could be fetched; ").split("; http")) == [
        "://grove.example/: http_404 (check the address)",
        "http://closed.example/: robots_disallowed: Disallow: / (the site asks not to be crawled; choose another)",
    ]
    assert sorted(empty.requests) == [
        ("closed.example", "/robots.txt"),
        ("grove.example", "/"),
        ("grove.example", "/.well-known/tdmrep.json"),
        ("grove.example", "/ai.txt"),
        ("grove.example", "/robots.txt"),
    ]


@pytest.mark.parametrize(
    ("content", "told", "finished"),
    [
        (
            {"/": "<title>nothing yet</title>"},
            "triplets: the stage 'images' was given no pictures; begin the crawl where there are some, "
            "or leave this one out: --set triplets=null",
            {"crawl", "images", "text"},
        ),
        (
            {"/": '<img src="/1.png">', "/1.png": picture(1)},
            "windows: the stage 'text' kept none of 1 pages (1 too_few_words); relax its limits, crawl more, "
            "or leave this one out: --set windows=null",
            {"crawl", "images", "text", "triplets"},
        ),
    ],
)
def test_a_site_without_pictures_or_prose_says_what_to_do(
    recipe: Path, tmp_path: Path, content: Content, told: str, finished: set[str]
):
    with serve(pages(content)) as bare:
        assert refusal(seedbed("build", *arguments(recipe, bare, tmp_path))) == told
    assert {path.parent.name for path in tmp_path.glob("*/current")} == finished


# Command lines and recipes


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--set", "images.sise=3"], "images.sise: unknown key; did you mean 'size'? it may be one of: size, resize"),
        (["--set", "images.size=0"], "images.size: 0 will not do: should be greater than or equal to 8"),
        (
            ["--set", "crawl.sources.grove.seeds=[oak]"],
            "'oak' is not an address to fetch; write it as https://example.org/",
        ),
        (["--set", "crawl.connect_to={grove.example: '80'}"], "'80' is no place to connect to for grove.example"),
        (["--set", "nonsense"], "--set nonsense: write it as section.key=value, as in images.size=64"),
        (
            ["--runner", "magic"],
            "Invalid value for --runner: 'magic' is not known: use 'local', 'flink', or HOST:PORT",
        ),
        (["--runner", "localhost:1"], "Invalid value for --worker-pool: '' is no HOST:PORT: name the worker pool"),
        (
            ["--worker-pool", "localhost:1"],
            "Invalid value for --worker-pool: is for a job service: name it as",
        ),
        (["--workers", "-1"], "Invalid value for '--workers': Input should be greater than or equal to 0"),
        (["--out", ""], "Invalid value for OUT: an empty path; give a folder, '.' for this one"),
        (["--colour"], "No such option: --colour"),
    ],
)
def test_a_command_that_cannot_be_meant_is_a_usage_error(recipe: Path, tmp_path: Path, more: list[str], told: str):
    line = refusal(seedbed("build", recipe, "--out", tmp_path / "out", *more), status=2)
    assert told in line
    assert not (tmp_path / "out").exists()


def test_each_problem_of_a_recipe_gets_its_line(recipe: Path, tmp_path: Path):
    more = ("--set", "images.size=0", "--set", "windows.context=0", "--set", "colour=green")
    done = seedbed("build", recipe, "--out", tmp_path / "out", *more)
    assert done.returncode == 2
    lines = sorted(done.stderr.splitlines())
    assert [line.rpartition("grove.yaml: ")[2].partition(":")[0] for line in lines] == [
        "colour",
        "images.size",
        "windows.context",
    ]
    assert all(line.startswith(f"seedbed: {recipe}: ") for line in lines)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            None,
            "cannot be read (No such file or directory); give a YAML file or one of: demo, fineweb-like",
        ),
        (b"crawl: [", "not YAML: "),
        (b"\xff\xfe\x00", "cannot be read (not UTF-8)"),
    ],
)
def test_a_file_that_is_no_recipe_is_a_usage_error(tmp_path: Path, content: bytes | None, told: str):
    path = tmp_path / "grove.yaml"
    if content is not None:
        path.write_bytes(content)
    line = refusal(seedbed("build", path, "--out", tmp_path / "out"), status=2)
    assert line.startswith(f"{path}: {told}")


# Folders and disks


def test_an_out_that_cannot_be_written_is_named(recipe: Path, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "crawl").write_text("in the way")
    (tmp_path / "lock" / ".lock").mkdir(parents=True)
    for out, told in (
        (tmp_path / "file", "File exists; a file stands in the way; choose another path"),
        (tmp_path / "file" / "out", "Not a directory; a part of that path is a file; choose another path"),
        (tmp_path / "stage", "Not a directory; a part of that path is a file; choose another path"),
        (tmp_path / "lock", "Is a directory; a folder stands where a file belongs; move it away"),
        (Path("/proc/seedbed"), "check the path"),
    ):
        line = refusal(seedbed("crawl", recipe, "--out", out))
        assert line.startswith(str(out))
        assert line.endswith(told)


def test_a_read_only_disk_is_named(recipe: Path, tmp_path: Path):
    with mounted(tmp_path / "disk", "ro") as disk:
        line = refusal(seedbed("crawl", recipe, "--out", disk / "out"))
    assert line == f"{disk}/out: Read-only file system; choose a folder that you may write to"


def test_a_disk_that_fills_up_fails_the_stage_and_more_space_finishes_it(
    built: Path, recipe: Path, site: Site, tmp_path: Path
):
    with mounted(tmp_path / "disk", "size=1500k") as disk:
        out = copy_of(built, disk / "out", "crawl", "images")
        command = ["triplets", *arguments(recipe, site, out), *MANY_SHARDS, "--workers", "1"]
        line = refusal(seedbed(*command))
        assert line.startswith(f"triplets: {out}/triplets/")
        assert line.endswith(": No space left on device; free some space and run again: what is finished is kept")
        assert not (out / "triplets" / "current").exists()
        receipts = list(out.glob("triplets/*/_work/receipts/*.json"))
        stamps = {path: path.stat().st_mtime_ns for path in out.glob("triplets/*/*.tar")}
        assert len(receipts) > 1
        assert _mount("-o", "remount,size=64m", str(disk)).returncode == 0
        again = seedbed(*command)
        assert again.returncode == 0, again.stderr
        assert manifest_bytes(out, ("triplets",)) == manifest_bytes(built, ("triplets",))
        kept = [path for path, stamp in stamps.items() if path.stat().st_mtime_ns == stamp]
        assert len(kept) >= len(receipts)


def test_a_disk_too_full_for_a_log_does_not_hang_the_workers(recipe: Path, site: Site, tmp_path: Path):
    with mounted(tmp_path / "disk", "size=16k") as disk:
        line = refusal(seedbed_process("crawl", *arguments(recipe, site, disk), "--workers", "2", timeout_s=60))
    assert "No space left on device" in line


# Interruptions and company


def begin(command: list[str], out: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A stage in the middle of its work with two workers, and every process below it."""
    receipts = len(list(out.glob("triplets/*/_work/receipts/*.json")))
    process = subprocess.Popen(
        [SEEDBED, *command, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: len(list(out.glob("triplets/*/_work/receipts/*.json"))) >= receipts + 3, "a few shards")
    assert len(list(workers_of(process))) == 2
    return process, psutil.Process(process.pid).children(recursive=True)


def test_killed_and_then_interrupted_no_process_stays_and_the_third_run_finishes_with_the_same_bytes(
    built: Path, recipe: Path, site: Site, tmp_path: Path
):
    out = copy_of(built, tmp_path, "crawl", "images")
    command = ["triplets", *arguments(recipe, site, out), *MANY_SHARDS]

    process, below = begin(command, out)
    process.kill()  # this process alone: nobody is left to clean up
    process.communicate(timeout=30)
    wait_for(lambda: all(map(is_gone, below)), "every process to be gone", timeout_s=10)

    process, below = begin(command, out)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group of the command
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert errors == "seedbed: interrupted; run the same command again and it carries on\n"
    wait_for(lambda: all(map(is_gone, below)), "every process to be gone", timeout_s=10)
    assert not (out / "triplets" / "current").exists()

    last = seedbed(*command, "--workers", "1")
    assert last.returncode == 0, last.stderr
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(built, ("triplets",))
    assert not list(out.rglob("*.tmp"))


def test_ctrl_c_while_starting_says_nothing_else(recipe: Path, site: Site, tmp_path: Path):
    process = subprocess.Popen(
        [SEEDBED, "crawl", *arguments(recipe, site, tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: psutil.Process(process.pid).children(), "the server that children are forked from")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == "seedbed: interrupted; run the same command again and it carries on\n"


def test_a_second_build_into_the_same_folder_is_refused_at_once(recipe: Path, tmp_path: Path):
    asked, released = threading.Event(), threading.Event()

    def answer(host: str, path: str) -> Answer:
        asked.set()
        released.wait(60)
        return pages({"/": tree(0), "/0.png": picture(0)})(host, path)

    with serve(answer) as slow:
        command = ["crawl", *arguments(recipe, slow, tmp_path), "--set", "crawl.timeout_s=100"]
        first = start_seedbed(*command)
        assert asked.wait(60)
        line = refusal(seedbed(*command))
        released.set()
        output, _ = first.communicate(timeout=60)
    assert line == f"{tmp_path}: another build is writing here; wait for it, or give another --out"
    assert first.returncode == 0, output
    assert manifest_of(tmp_path, "crawl").counts.kept == 2


# Damage


def test_an_input_that_lost_or_changed_a_file_is_named(built: Path, recipe: Path, site: Site, tmp_path: Path):
    for stage, pattern, source in (("images", "*.warc.gz", "crawl"), ("triplets", "part-*.tar", "images")):
        for damage, told in (("cut", "where its manifest says"), ("gone", "is missing")):
            out = copy_of(built, tmp_path / f"{stage}-{damage}", "crawl", "images")
            shutil.rmtree(out / stage, ignore_errors=True)
            file = next(folder_of(out, source).glob(pattern))
            if damage == "cut":
                os.truncate(file, file.stat().st_size - 1000)
            else:
                file.unlink()
            line = refusal(seedbed(stage, *arguments(recipe, site, out), *MANY_SHARDS))
            assert line.startswith(f"{stage}: {file} ")
            assert told in line
            assert line.endswith(f"put it back, or remove {file.parent} and build again to make it anew")
            assert not (out / stage / "current").exists()


def test_a_stage_that_has_lost_a_file_is_not_called_up_to_date(built: Path, recipe: Path, site: Site, tmp_path: Path):
    out = copy_of(built, tmp_path, "crawl", "images", "triplets")
    command = ("triplets", *arguments(recipe, site, out), *MANY_SHARDS)
    shard = sorted(folder_of(out, "triplets").glob("train-*.tar"))[0]
    shard.unlink()
    line = refusal(seedbed(*command))
    assert line.startswith(f"triplets: {shard} is missing")
    assert line.endswith(f"put it back, or remove {shard.parent} and build again to make it anew")
    shutil.rmtree(shard.parent)
    assert seedbed(*command).returncode == 0
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(built, ("triplets",))


def test_a_flipped_bit_in_a_picture_part_is_found_and_mended_by_building_again(
    built: Path, recipe: Path, site: Site, tmp_path: Path
):
    out = copy_of(built, tmp_path, "crawl", "images")
    part = sorted(folder_of(out, "images").glob("part-*.tar"))[0]
    flip(part, 700)  # in the first picture's PNG
    line = refusal(seedbed("triplets", *arguments(recipe, site, out)))
    assert line.startswith(f"triplets: {part}: the picture at offset 0 is damaged")
    assert line.endswith(f"remove {part.parent} and build again to make it anew")
    shutil.rmtree(part.parent)
    assert seedbed("images", *arguments(recipe, site, out)).returncode == 0
    assert manifest_bytes(out, ("images",)) == manifest_bytes(built, ("images",))


def test_a_flipped_bit_in_a_warc_file_is_found(built: Path, recipe: Path, site: Site, tmp_path: Path):
    out = copy_of(built, tmp_path, "crawl")
    warc = next(folder_of(out, "crawl").glob("*.warc.gz"))
    flip(warc, warc.stat().st_size - 500)
    line = refusal(seedbed("images", *arguments(recipe, site, out)))
    assert line.startswith(f"images: {warc} at offset ")
    assert line.endswith("; fetch it again")


def flip(file: Path, offset: int) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 255
    file.write_bytes(data)


@pytest.mark.parametrize("content", [b"oak", b"\xff\xfe\x00"])
def test_a_manifest_that_is_none_is_named(built: Path, recipe: Path, site: Site, tmp_path: Path, content: bytes):
    out = copy_of(built, tmp_path, "crawl")
    manifest = folder_of(out, "crawl") / "manifest.json"
    manifest.write_bytes(content)
    line = refusal(seedbed("images", *arguments(recipe, site, out)))
    assert line.startswith(f"{manifest}: not a manifest (")
    assert line.endswith(f"build it again, after removing {manifest.parent}")


def test_a_current_that_names_nothing_is_said_and_mended_by_the_next_build(
    built: Path, recipe: Path, site: Site, tmp_path: Path
):
    out = copy_of(built, tmp_path, "crawl", "images", "triplets")
    (out / "triplets" / "current").write_text("0123456789ab\n")
    assert refusal(seedbed("show", out)).startswith(f"{out}/triplets/0123456789ab/manifest.json is missing")
    told = f"triplets: {out}/triplets/0123456789ab/manifest.json is missing"
    assert refusal(seedbed("report", out)).startswith(told), "the rest is shown"
    assert (out / "report" / "funnel.html").is_file()
    assert seedbed("triplets", *arguments(recipe, site, out), *MANY_SHARDS).returncode == 0
    assert manifest_bytes(out, ("triplets",)) == manifest_bytes(built, ("triplets",))


@pytest.mark.parametrize("line", [b"oak", b'{"url": "\xff"}', b'{"path": "/oak"}'])
def test_damaged_tombstones_stop_a_build_before_it_brings_anything_back(recipe: Path, tmp_path: Path, line: bytes):
    tombstones = tmp_path / "tombstones.jsonl"
    tombstones.write_bytes(b'{"host": "b.example"}\n' + line + b"\n")
    told = refusal(seedbed("crawl", recipe, "--out", tmp_path))
    assert told.startswith(f"{tombstones}:2: ")
    assert told.endswith('a line holds one of url, host or sha256, as in {"url": "https://example.org/a"}')
    assert not (tmp_path / "crawl").exists()


# Looking and training where there is nothing


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("show", "OUT holds neither manifest.json nor current: nothing was committed there; run the build again"),
        ("report", "OUT: nothing was built there; run 'seedbed build RECIPE --out OUT'"),
    ],
)
def test_nothing_to_look_at_is_said(tmp_path: Path, command: str, told: str):
    assert refusal(seedbed(command, tmp_path)) == told.replace("OUT", str(tmp_path))


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("train", "denoiser", "OUT", "--out", "OUT/run"), "holds neither manifest.json nor current"),
        (("generate", "language", "OUT"), "checkpoints/latest: no such checkpoint; train first"),
    ],
)
def test_nothing_to_train_from_is_said(tmp_path: Path, command: tuple[str, ...], told: str):
    done = seedbed(*(part.replace("OUT", str(tmp_path)) for part in command))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert told in line
    assert str(tmp_path) in line
    assert not list(tmp_path.iterdir())
