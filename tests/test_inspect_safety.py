"""Who may ask the inspection page, and that nothing that was crawled or asked does more than be shown."""

import hashlib
import re
import signal
import subprocess
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from starlette.testclient import TestClient

from pipelines.inspect.server import COOKIE, HEADERS, new_app
from pipelines.inspect.sources import Source
from shards.triplet import TripletSpec
from tests.builds import SEEDBED, wait_for
from tests.inspected import LOOPBACK, client_of
from tests.parsed_page import Page
from tests.planted import PLANTED
from tests.tiny_datasets import draw_tree, write_triplets, write_windows
from tests.virtual_samples import write_virtual_build

TOKEN = "a-token-of-the-test"
SECRET = "what no page may show"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small datasets, a run, and a file beside them that is none of the page's business."""
    root = tmp_path_factory.mktemp("safe")
    (root / "secret.txt").write_text(SECRET)
    (root / "secret.png").write_text(SECRET)
    write_triplets(root / "out" / "triplets", TripletSpec(8, steps=2), {"train": [draw_tree(n, 8) for n in range(3)]})
    write_windows(root / "out" / "windows", 8, {"train": ["The oak stands. The elm stands."]})
    (root / "out" / "runs" / "first").mkdir(parents=True)
    return root / "out"


@pytest.fixture(scope="module")
def client(out: Path) -> TestClient:
    return client_of(out)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """The page of a build in which hostile strings stand wherever crawled text may."""
    return client_of(write_virtual_build(tmp_path_factory.mktemp("planted"), 160, 60, PLANTED, is_stored=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8033", "localhost:1", "LOCALHOST", "[::1]:8033", "[::1]"])
def test_this_machine_is_answered_under_its_own_names(client: TestClient, host: str):
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8033",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "localhost.",
        "",
        "[::2]:8033",
        "2130706433",
    ],
)
def test_a_name_that_was_rebound_to_this_machine_is_refused(client: TestClient, host: str):
    for path in ("/", "/picture/strip", "/static/page.js", "/export", "/nowhere"):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 421
        assert "oak" not in answer.text


def test_beyond_loopback_a_token_is_asked_for_once_and_kept_in_a_cookie(out: Path):
    client = TestClient(new_app(Source(out), "192.0.2.7", TOKEN), base_url="http://192.0.2.7", follow_redirects=False)
    for path in ("/", "/?token=", "/?token=wrong", "/static/page.js", "/picture/strip?token=wrong"):
        assert client.get(path).status_code == 403
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    answer = client.get(f"/triplets?split=train&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/triplets?split=train")
    kept = answer.headers["set-cookie"].lower()
    assert kept.startswith(f"{COOKIE}={TOKEN}")
    assert "httponly" in kept
    assert "samesite=strict" in kept
    assert client.get("/triplets").status_code == 200, "the cookie is enough from now on"
    client.cookies.clear()
    assert client.get("/", headers={"cookie": f"{COOKIE}=wrong"}).status_code == 403


def test_every_answer_says_what_a_browser_may_do_with_it(client: TestClient):
    key = re.findall(r"key=([0-9a-f]{32}-k1-d0)", client.get("/triplets").text)[0]
    for path in ("/", "/nowhere", f"/picture/strip?key={key}", "/picture/none", "/static/page.css", "/fragment/charts"):
        answer = client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value or name == "cache-control", (path, name)
    policy = HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


def test_another_site_cannot_set_anything_going(client: TestClient):
    for headers in ({}, {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9"}):
        assert client.post("/verification", headers=headers).status_code == 403
    assert client.post("/verification", headers={"origin": LOOPBACK}).status_code == 200
    for method in ("PUT", "DELETE", "PATCH", "POST"):
        assert client.request(method, "/", headers={"origin": LOOPBACK}).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        *("/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/..%2f..%2fsecret.txt", "/static//etc/passwd"),
        *("/%2e%2e/secret.txt", "/..%5csecret.txt", "/secret.txt", "/picture/..%2fsecret", "/fragment/..%2fproblem"),
        *("/picture/run?run=..&name=secret.png", "/picture/run?run=first&name=../../../secret.png"),
        *("/picture/run?run=/&name=secret.png", "/picture/denoised?run=../..", "/fragment/denoised?run=../first"),
        *("/picture/clean?key=../../secret.txt", "/export?of=../../secret.txt", "/rejects?stage=../../secret.txt"),
        *("/diff?stage=triplets&a=../../..", "/triplets?split=../../secret", "/record?url=file:///etc/passwd"),
        *("/item?name=../../secret.txt", "/picture/fetched?url=file:///etc/passwd", "/picture/strip?key=%00"),
    ],
)
def test_nothing_that_is_asked_leads_to_a_file(client: TestClient, path: str):
    answer = client.get(path)
    assert answer.status_code in (200, 400, 404)
    assert SECRET not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/triplets?split=none", "split is &#39;none&#39;: it is one of train"),
        ("/triplets?step=3", "step is &#39;3&#39;: it must be a whole number from 0 to 2"),
        ("/triplets?first=-1", "first is &#39;-1&#39;: it must be a whole number from 0 to"),
        ("/triplet?key=0123", "no triplet of train has the key &#39;0123&#39;"),
        ("/triplet?key=%3Cb%3E", "no triplet of train has the key &#39;&lt;b&gt;&#39;"),
        ("/window?key=00", "no window of train has the key &#39;00&#39;"),
        ("/trainer?rank=2&world=2", "rank is &#39;2&#39;: it must be a whole number from 0 to 1"),
        ("/trainer?seed=1e3", "seed is &#39;1e3&#39;: it must be a whole number"),
        ("/item?name=an+oak", "is neither an address nor the key of a sample"),
        ("/forget?kind=url", "name the url that is to be forgotten"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(client: TestClient, path: str, told: str):
    answer = client.get(path)
    assert answer.status_code == 400
    assert told in answer.text


def test_no_page_has_a_script_or_a_style_within_it(planted: TestClient):
    for path, text in _all_pages(planted).items():
        page = Page(text)
        names = {name for name, _ in page.attributes}
        assert not [name for name in names if name.startswith(("on", "hx-")) or name in ("style", "srcdoc")], path
        assert not {"style", "iframe", "object", "embed", "base", "math", "video", "audio"} & set(page.tags), path
        scripts = re.findall(r"<script[^>]*>([^<]*)</script>", text)
        assert scripts, path
        assert not any(scripts), path


def test_planted_strings_stand_in_the_pages_as_text_alone(planted: TestClient):
    pages = _all_pages(planted)
    everything = "".join(pages.values())
    for begin in ("<iframe", "<object", "<meta http-equiv", "<body onload", "<svg onload", "<img src=x", "<textarea"):
        assert begin not in everything
    assert "&lt;script&gt;window.seedbedPlanted=1&lt;/script&gt;" in everything
    sources = set(re.findall(r'(?:src|href|action|data-from|data-frames)="([^"]*)"', everything))
    assert all(address.startswith(("/", "#")) and not address.startswith("//") for address in sources)


def test_pictures_are_encoded_anew_and_nothing_else_is_sent_as_one(planted: TestClient):
    for path in re.findall(r'src="(/picture/[^"]*)"', "".join(_all_pages(planted).values()))[:60]:
        answer = planted.get(path.replace("&amp;", "&"))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.content.startswith(b"\x89PNG")
        assert not re.search(b"tEXt|iTXt|eXIf|iCCP", answer.content)


def _all_pages(client: TestClient) -> dict[str, str]:
    """Pages by their addresses: the tabs, and what they lead to, up to a few dozen of each view."""
    due, pages, views = ["/"], {}, dict.fromkeys(("/item", "/triplet", "/window", "/rejects", "/record", "/export"), 0)
    while due:
        path = due.pop(0)
        view = path.partition("?")[0]
        if path in pages or view in ("/export", "/static") or views.get(view, 0) > 40:
            continue
        views[view] = views.get(view, 0) + 1
        pages[path] = client.get(path).text
        due += [
            link.replace("&amp;", "&") for link in re.findall(r'href="(/[^"#]*)', pages[path]) if "/static/" not in link
        ]
    assert len(pages) > 60
    return pages


def test_the_command_serves_until_it_is_interrupted(out: Path):
    command = [SEEDBED, "inspect", str(out), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = line.partition(" ")[0]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address), line
        wait_for(lambda: _is_served(address), "the page")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (errors, process.returncode) == ("", 0)


def _is_served(address: str) -> bool:
    try:
        with urlopen(address) as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


def test_files_of_style_are_kept_until_they_change(client: TestClient):
    (address,) = set(re.findall(r'href="(/static/page.css[^"]*)"', client.get("/").text))
    answer = client.get(address)
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert address == f"/static/page.css?{hashlib.sha256(answer.content).hexdigest()[:12]}"
    assert client.get("/").headers["cache-control"] == "no-store"
