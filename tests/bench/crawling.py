"""Crawling and cleaning photographs beside img2dataset: both end with WebDataset shards of small JPEG files.

Each tool is run as people run it, two processes, on a short list of URLs and on a long one: what the long one takes
more is the cost at the margin. Ours asks robots.txt, guards addresses, and writes WARC and ledger all the while.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from crawl.picture_filters.settings import NO_FILTERS
from tests.bench.harness import ROOT, SideError
from tests.bench.peers import PeersError, make_environment
from tests.bench.photographs import MissingError, make_photographs
from tests.bench.whole_runs import Cost, Ratio, cost_of, margins, print_ratios, ratio

SHORT, LONG = 2_000, 6_000
NUM_HOSTS = 32
TITLE = "Crawling beside img2dataset, CPU a picture, median of pairs"
IMG2DATASET = ("img2dataset==1.47.0", "setuptools<81")


@dataclass(frozen=True)
class Setting:
    """What is measured: pictures of a size, over TLS or not, and the limits of whole run and margin."""

    size: int
    is_tls: bool
    least_run: float
    least_margin: float


SETTINGS = (Setting(256, False, 1.5, 1.7), Setting(64, False, 1.5, 2.4), Setting(256, True, 1.5, 1.7))


def measure(folder: Path, rounds: int, console: Console, settings: Sequence[Setting] = SETTINGS) -> list[Ratio]:
    """Runs everything; an empty list, with a message, where it cannot be run here."""
    data = ROOT.parent / "shared" / "data"
    try:
        console.print("making photographs …")
        make_photographs(data, folder / "photographs", LONG)
        console.print("installing img2dataset in an environment of its own …")
        peer = Path(make_environment(folder / "img2dataset", IMG2DATASET)).with_name("img2dataset")
    except (MissingError, PeersError) as error:
        console.print(f"crawling is left out: {error}")
        return []
    found: list[Ratio] = []
    for setting in settings:
        with _served(folder, setting.is_tls) as base:
            found += _ratios(setting, base, peer, rounds, console)
    return found


def _ratios(setting: Setting, base: str, peer: Path, rounds: int, console: Console) -> Iterator[Ratio]:
    name = f"{setting.size} pixels{', TLS' if setting.is_tls else ''}"
    runs: dict[tuple[str, int], list[Cost]] = {}
    for number in range(rounds):
        for count in (SHORT, LONG):
            console.print(f"crawling {count:,} pictures, {name}, round {number + 1} …")
            with tempfile.TemporaryDirectory() as scratch:
                urls = _write_urls(Path(scratch), base, count)
                ours = run_ours(Path(scratch), urls, setting.size, count)
                theirs = _run_peer(peer, Path(scratch), urls, setting.size, count)
            runs.setdefault(("ours", count), []).append(ours)
            runs.setdefault(("peer", count), []).append(theirs)
    own, other = runs["ours", SHORT], runs["peer", SHORT]
    yield ratio(f"{SHORT:,} pictures, {name}", own, other, SHORT, setting.least_run)
    own, other = (margins(runs[who, SHORT], runs[who, LONG]) for who in ("ours", "peer"))
    yield ratio(f"at the margin, {name}", own, other, LONG - SHORT, setting.least_margin)


def run_ours(scratch: Path, urls: Path, size: int, count: int) -> Cost:
    """Builds clean pictures from a list of URLs.

    Raises:
        SideError: not every picture came out.
    """
    hosts = [f"127.0.1.{number + 1}" for number in range(NUM_HOSTS)]
    recipe = {
        "name": "photographs",
        "contact": "bench@example.org",
        "crawl": {
            "sources": {"list": {"source": "urls", "files": [str(urls)]}},
            "allow_hosts": hosts,
            "delay_s": 0,
            "response_time_multiple": 0,
        },
        "images": {"size": size, "encoding": "jpeg", "near_duplicates": "ignore", "filters": asdict(NO_FILTERS)},
    }
    (scratch / "recipe.yaml").write_text(json.dumps(recipe))
    out = scratch / "ours"
    seedbed = str(Path(sys.executable).with_name("seedbed"))
    cost = cost_of([seedbed, "build", str(scratch / "recipe.yaml"), "--out", str(out), "--workers", "2"])
    kept = [json.loads(path.read_text())["counts"]["kept"] for path in out.glob("images/*/manifest.json")]
    if kept != [count]:
        raise SideError(f"seedbed kept {kept} of {count} pictures")
    shutil.rmtree(out)
    return cost


def _run_peer(peer: Path, scratch: Path, urls: Path, size: int, count: int) -> Cost:
    out = scratch / "peer"
    options = {
        "url_list": urls,
        "input_format": "txt",
        "output_folder": out,
        "output_format": "webdataset",
        "image_size": size,
        "resize_mode": "center_crop",
        "encode_format": "jpg",
        "encode_quality": 95,
        "processes_count": 2,
        "thread_count": 32,
        "number_sample_per_shard": 1000,
        "enable_wandb": False,
    }
    cost = cost_of([str(peer), *(f"--{name}={value}" for name, value in options.items())])
    made = sum(json.loads(path.read_text())["successes"] for path in out.glob("*_stats.json"))
    if made != count:
        raise SideError(f"img2dataset kept {made} of {count} pictures")
    shutil.rmtree(out)
    return cost


def _write_urls(scratch: Path, base: str, count: int) -> Path:
    scheme, _, port = base.partition("*")
    lines = [f"{scheme}127.0.1.{number % NUM_HOSTS + 1}{port}/{number:05d}.jpg" for number in range(count)]
    (scratch / "urls.txt").write_text("\n".join(lines) + "\n")
    return scratch / "urls.txt"


@contextmanager
def _served(folder: Path, is_tls: bool) -> Iterator[str]:
    """A running server in a process of its own; yields its addresses, with a star for the host."""
    certificate = _certificate(folder) if is_tls else []
    command = [sys.executable, "-m", "tests.bench.photo_server", str(folder / "photographs"), *map(str, certificate)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        if is_tls:
            os.environ["SSL_CERT_FILE"] = str(certificate[0])  # both tools trust what it names
        yield f"http{'s' if is_tls else ''}://*:{port}"
        os.environ.pop("SSL_CERT_FILE", None)
        server.communicate()


def _certificate(folder: Path) -> list[Path]:
    """A certificate for the addresses, signed by itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = ",".join(f"IP:127.0.1.{number + 1}" for number in range(NUM_HOSTS))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=bench"]
    command += ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return [certificate, key]


if __name__ == "__main__":
    shown = Console(highlight=False, width=132)
    found = measure(ROOT / "build" / "bench", int(sys.argv[1]) if len(sys.argv) > 1 else 3, shown)
    print_ratios(TITLE, "img2dataset", found, shown)
