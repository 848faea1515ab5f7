"""Whatever lies in the folder, the inspection page opens, says what is wrong with it, and shows the rest."""

import html
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from pipelines.inspect.rendering import PAGES
from shards import open_dataset
from shards.triplet import TripletSpec
from tests.builds import manifest_of, wait_for
from tests.inspected import LOOPBACK, client_of
from tests.tiny_datasets import draw_tree, write_triplets, write_windows
from tests.virtual_samples import write_virtual_build

TABS = [name for name, page in PAGES.items() if not page.parent]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_virtual_build(tmp_path_factory.mktemp("whole") / "out", 100, 40, is_stored=True)


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    """A build to be damaged."""
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


def _folder(out: Path, stage: str) -> Path:
    return out / stage / manifest_of(out, stage).fingerprint


def _wrong(client: TestClient, path: str = "/") -> str:
    """What a page says is wrong; it must open."""
    answer = client.get(path)
    assert answer.status_code in (200, 404), answer.text
    found = re.findall(r'<section class="troubles".*?</section>', answer.text, re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", " ".join(found))).split())


def _open_all(client: TestClient) -> None:
    """Opens every view of a build; none may fail."""
    for name in TABS:
        answer = client.get("/" if name == "overview" else f"/{name}")
        assert answer.status_code in (200, 404), f"{name}: {answer.text}"
        assert "<main" in answer.text
    assert client.get("/fragment/charts").status_code == 200


@pytest.mark.parametrize("make", ["nothing", "empty", "file", "strange"])
def test_a_folder_that_is_no_build_is_said_to_be_none(tmp_path: Path, make: str):
    out = tmp_path / "out"
    if make == "file":
        out.write_text("an oak")
    elif make != "nothing":
        out.mkdir()
    if make == "strange":
        (out / "notes.txt").write_text("an oak")
        (out / "images").write_text("no folder")
    client = client_of(out)
    told = "nothing was built there" if make in ("empty", "strange") else "there is no such folder"
    assert f"{out} {told}; give the folder of a build, a stage or a dataset" in _wrong(client)
    _open_all(client)
    assert "triplets not built here" in _wrong(client, "/triplets")


def test_a_half_written_build_tells_how_far_it_is(out: Path):
    folder = _folder(out, "images")
    (folder / "manifest.json").unlink()
    (out / "images" / "current").unlink()
    (folder / "_work" / "receipts").mkdir(parents=True)
    for number in range(3):
        (folder / "_work" / "receipts" / f"part-{number}.json").write_text("{}")
    client = client_of(out)
    told = f"images {folder.name} is not finished: 3 parts are done; run the same build again and it carries on"
    assert told in _wrong(client)
    assert "triplets: samples" in client.get("/").text, "the rest is shown"
    _open_all(client)


def test_a_newer_version_that_is_not_finished_stands_beside_the_one_in_force(out: Path):
    (out / "text" / "0123456789ab").mkdir()
    client = client_of(out)
    assert "text 0123456789ab is not finished: 0 parts are done" in _wrong(client)
    assert manifest_of(out, "text").fingerprint in client.get("/").text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda m: m | {"format_version": 99}, "format version 99, but this program reads 1"),
        (lambda m: m | {"counts": 7}, "not a manifest"),
        (lambda m: m | {"files": [m["files"][0] | {"path": "../../../etc/passwd"}]}, "outside its folder"),
        (lambda m: m | {"files": [m["files"][0] | {"path": "/etc/passwd"}]}, "outside its folder"),
    ],
)
def test_a_manifest_of_another_version_or_one_that_leads_outside_is_not_read(out: Path, change, told: str):
    path = _folder(out, "images") / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_bytes()))))
    client = client_of(out)
    assert told in _wrong(client)
    assert "root:" not in client.get("/shards").text
    assert "triplets: samples" in client.get("/").text
    _open_all(client)


def test_current_that_names_nothing_is_told(out: Path):
    (out / "triplets" / "current").write_text("0123456789ab\n")
    client = client_of(out)
    assert f"{out}/triplets/0123456789ab/manifest.json is missing: the build was not finished" in _wrong(client)
    _open_all(client)


@pytest.mark.parametrize("prefix", ["images-", "rejects-"])
def test_a_table_of_another_version_or_a_damaged_one_is_told_and_left_out(out: Path, prefix: str):
    folder = _folder(out, "images")
    (path,) = folder.glob(f"{prefix}*.parquet")
    columns = pq.read_table(path)
    pq.write_table(columns.rename_columns([f"old_{name}" for name in columns.column_names]), path)
    client = client_of(out)
    page = "/pictures" if prefix == "images-" else "/rejects?stage=images"
    assert path.name in _wrong(client, page)
    assert "cannot be read" in _wrong(client, page)
    _open_all(client)
    path.write_bytes(b"PAR1 and no more")
    assert path.name in _wrong(client_of(out), page)
    _open_all(client_of(out))


def test_a_missing_shard_is_told_and_the_others_are_shown(tmp_path: Path):
    pictures = [draw_tree(seed, 8) for seed in range(12)]
    write_triplets(tmp_path / "triplets", TripletSpec(8, steps=2), {"train": pictures}, samples_per_shard=8)
    next((tmp_path / "triplets").glob("*/train-000001.tar")).unlink()
    client = client_of(tmp_path)
    page = client.get("/triplets").text
    assert page.count("train-000001.tar is missing") == 8
    assert page.count('<img class="strip"') == 16
    assert "✗ 1 file not as committed" in client.get("/shards").text
    assert "is missing" in client.get("/shards").text
    client.post("/verification", headers={"origin": LOOPBACK})
    wait_for(lambda: "…" not in client.get("/verification").text, "the verification")
    assert "train-000001.tar</strong> is missing" in client.get("/verification").text
    _open_all(client)


def test_a_damaged_tar_shows_what_is_whole_in_it(tmp_path: Path):
    pictures = [draw_tree(seed, 8) for seed in range(6)]
    write_triplets(tmp_path / "triplets", TripletSpec(8, steps=2), {"train": pictures})
    path = next((tmp_path / "triplets").glob("*/train-000000.tar"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 - 700 : len(data) // 2 + 700] = bytes(1400)
    path.write_bytes(data)
    page = client_of(tmp_path).get("/triplets").text
    damaged = page.count("is damaged")
    assert 0 < damaged < 4
    assert page.count('<img class="strip"') == 12 - damaged
    path.write_bytes(data[: len(data) // 2 - 700])
    client = client_of(tmp_path)
    cut = client.get("/triplets").text
    assert 3 < cut.count('<img class="strip"') < 8
    assert "bytes, the manifest says" in client.get("/shards").text
    broken = re.findall(r'<li class="tile broken">', cut)
    assert len(broken) + cut.count('<img class="strip"') == 12
    _open_all(client)


def test_a_damaged_index_and_a_damaged_window_are_told(tmp_path: Path):
    write_windows(tmp_path / "windows", 8, {"train": ["The oak stands in the park. The elm stands by the river."] * 9})
    path = next((tmp_path / "windows").glob("*/train-000000.tar"))
    data = bytearray(path.read_bytes())
    data[512:1100] = bytes(588)
    path.write_bytes(data)
    page = client_of(tmp_path).get("/windows").text
    assert "is damaged" in page
    assert "<mark>" in page
    path.with_suffix(".idx").write_bytes(b"no index")
    client = client_of(tmp_path)
    assert "is damaged: its SHA-256 is not the manifest" in html.unescape(client.get("/windows").text)
    _open_all(client)


def test_a_record_that_is_gone_from_the_crawl_is_told(out: Path):
    for path in _folder(out, "crawl").glob("*.warc.gz"):
        path.write_bytes(b"")
    client = client_of(out)
    _open_all(client)
    page = client.get("/rejects?stage=images").text
    for address in re.findall(r'src="(/picture/fetched[^"]*)"', page)[:3]:
        answer = client.get(html.unescape(address))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    url = pq.read_table(next(_folder(out, "text").glob("documents-*.parquet")))["url"][0].as_py()
    assert client.get(f"/record?url={url}").status_code == 400
    assert "What is wrong" in client.get(f"/record?url={url}").text


def test_without_the_crawl_the_rest_is_shown(out: Path):
    shutil.rmtree(out / "crawl")
    client = client_of(out)
    _open_all(client)
    row = pq.read_table(next(_folder(out, "images").glob("images-*.parquet"))).slice(0, 1).to_pylist()[0]
    answer = client.get(f"/item?name={row['key']}")
    assert answer.status_code == 200
    assert "nothing was crawled there" in _wrong(client, f"/item?name={row['key']}")
    assert row["licence"] in answer.text


def _change_column(out: Path, stage: str, prefix: str, name: str, change: Callable[[pa.Array], pa.Array]) -> None:
    for path in _folder(out, stage).glob(f"{prefix}*.parquet"):
        table = pq.read_table(path)
        place = table.column_names.index(name)
        pq.write_table(table.set_column(place, name, change(table[name])), path)


def test_tables_with_gaps_or_another_type_are_told_and_left_out(out: Path):
    (documents,) = _folder(out, "text").glob("documents-*.parquet")
    row = pq.read_table(documents, columns=["url", "key"]).to_pylist()[0]
    client = client_of(out)
    key = re.findall(r'href="/window\?key=([^"&]*)', client.get("/windows").text)[0]
    _change_column(out, "crawl", "ledger-", "warc_offset", lambda column: pa.nulls(len(column), pa.int64()))
    _change_column(out, "text", "documents-", "text", lambda column: pa.array(range(len(column))))
    _change_column(out, "text", "documents-", "num_words", lambda column: pa.nulls(len(column), pa.int64()))
    client = client_of(out)
    assert "its column num_words has gaps" in _wrong(client, "/prose")
    assert "its column text is int64" in _wrong(client, f"/window?key={key}")
    assert "not what a build writes" in _wrong(client, f"/item?name={row['url']}")
    assert client.get(f"/record?url={row['url']}").status_code == 400
    assert "its column text is int64" in _wrong(client, "/search?q=oak")
    assert client.get("/rejects?stage=text").status_code == 200
    _open_all(client)


@pytest.mark.parametrize("results", [{"steps": [{}]}, {"steps": 7}, {"losses": {"model": "low"}}, [1]])
def test_results_that_no_trainer_wrote_are_told_and_the_overview_stands(whole: Path, tmp_path: Path, results):
    (tmp_path / "triplets").symlink_to(whole / "triplets")
    run = tmp_path / "runs" / "odd"
    run.mkdir(parents=True)
    (tmp_path / "runs" / "lecture").mkdir()
    assert "lecture" not in client_of(tmp_path).get("/").text
    (run / "config.json").write_text('{"model": "odd"}')
    (run / "results.json").write_text(json.dumps(results))
    assert "runs/odd cannot be read (results.json" in _wrong(client_of(tmp_path))
    (run / "results.json").write_text('{"model": "odd", "losses": {"model": 1000.0}}')
    assert '<td class="number">inf</td>' in client_of(tmp_path).get("/").text


def test_a_damaged_neighbour_does_not_hide_a_window(tmp_path: Path):
    texts = [f"The oak number {number} stands in the park. The elm stands by the river." for number in range(9)]
    write_windows(tmp_path / "windows", 8, {"train": texts}, samples_per_shard=4)
    dataset = open_dataset(tmp_path / "windows")
    key = dataset[dataset.sizes[0] - 1]["key"]
    next((tmp_path / "windows").glob("*/train-000001.idx")).write_bytes(b"no index")
    client = client_of(tmp_path)
    assert "damaged" not in _wrong(client, f"/window?key={key}")
    assert 'class="chip' in client.get(f"/window?key={key}").text
