"""Item, search, what is taken along, forgetting, verifying and comparing: beside the tables that they tell of."""

import csv
import html
import io
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from crawl import warc
from pipelines.fates import Fates
from pipelines.folders import manifest_sha256
from pipelines.inspect.sources import Source
from pipelines.segments import file_entry
from shards import open_dataset
from shards.dataset import TripletDataset
from shards.manifest import InputEntry, write_manifest
from tests.builds import manifest_of, table_rows, wait_for
from tests.inspected import LOOPBACK, client_of, keys_in, picture_at, text_of
from tests.virtual_samples import write_virtual_build
from tests.virtual_stage import Stage


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of 200 pictures with everything stored."""
    return write_virtual_build(tmp_path_factory.mktemp("items"), 200, 60, is_stored=True)


@pytest.fixture(scope="module")
def client(out: Path) -> TestClient:
    return client_of(out)


def test_an_item_tells_its_story_from_where_it_was_found_to_its_samples(client: TestClient, out: Path):
    row = table_rows(out, "images", "images-")[5]
    for name in (row["url"], row["key"], f"{row['key']}-k2-d0"):
        page = text_of(client, f"/item?name={name}")
        for told in (
            row["url"],
            row["page_url"],
            row["licence"],
            f"kept as {row['key']}",
            row["warc_file"],
        ):
            assert told in page, told
    away = next(r for r in table_rows(out, "images", "rejects-") if r["reason"] == "near_duplicate")
    twin = away["detail"].partition(",")[0]
    assert f"Like it {away['key']} near duplicate" in text_of(client, f"/item?name={twin}")
    row = next(r for r in table_rows(out, "images", "images-") if twin in (r["key"], r["url"]))
    page = client.get("/item", params={"name": away["key"]}).text.partition("Like it")[2]
    assert f'src="/picture/clean?key={row["key"]}"' in page
    assert "kept in its place" in page
    assert "never met" in text_of(client, "/item?name=https://nowhere.example/none")
    document = table_rows(out, "text", "documents-")[0]
    page = text_of(client, f"/item?name={document['url']}")
    assert f"kept as {document['key']}" in page
    assert "hold its tokens 0 to" in page
    stored = client.get(f"/record?url={document['url']}").text
    assert (
        "&lt;html" in stored.lower() or "&lt;!doctype" in stored.lower() or html.escape(document["text"][:30]) in stored
    )


@pytest.mark.parametrize("charset", ["idna", "undefined", "no-such-charset"])
def test_a_record_is_shown_whatever_its_charset_and_says_what_is_left_out(
    client: TestClient, out: Path, monkeypatch: pytest.MonkeyPatch, charset: str
):
    path = f"/record?url={table_rows(out, 'text', 'documents-')[0]['url']}"
    page = (("content-type", f"text/html; charset={charset}"),)
    monkeypatch.setattr(warc, "read_record", lambda *_: warc.StoredResponse("", "The oak stands — äöü.".encode(), page))
    assert "The oak stands — äöü." in text_of(client, path)
    binary = (("content-type", "application/octet-stream"),)
    monkeypatch.setattr(warc, "read_record", lambda *_: warc.StoredResponse("", bytes(10_000), binary))
    assert "… 5,904 more bytes" in text_of(client, path)


def test_search_finds_by_address_key_and_word(client: TestClient, out: Path):
    row = table_rows(out, "images", "images-")[9]
    for q in (row["url"], row["url"].partition("//")[2], row["key"], row["key"][:12], row["caption"]):
        assert row["url"] in text_of(client, f"/search?q={q}"), q
    window = open_dataset(out / "windows")[3]["key"]
    assert f"/window?key={window}" in client.get(f"/search?q={window}").text
    document = table_rows(out, "text", "documents-")[4]
    assert document["url"] in text_of(client, f"/search?q={document['title']}")
    assert "Nothing here has “zzzz”" in text_of(client, "/search?q=zzzz")


def test_a_dataset_that_came_alone_is_told_of_and_searched_as_one(out: Path, tmp_path: Path):
    (tmp_path / "triplets").symlink_to(out / "triplets")
    client, sample = client_of(tmp_path), open_dataset(out / "triplets")[3]
    page = text_of(client, f"/item?name={sample['key']}")
    assert "never met" not in page
    assert f"url {sample['meta']['url']}" in page.partition("Its record")[2]
    assert "never met" in text_of(client, f"/item?name={'0' * 32}")
    word = sample["caption"].split()[0]
    page = text_of(client, f"/search?q={word}")
    assert "Nothing here has" not in page
    assert "only the keys of its samples are looked for" in page
    assert f'href="/triplets?word={word}"' in client.get(f"/search?q={word}").text


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_is_listed_can_be_taken_along(client: TestClient, out: Path, form: str):
    wanted = [
        row for row in table_rows(out, "images", "images-") if row["licence"] == "CC0-1.0" and row["split"] == "train"
    ]
    answer = client.get(f"/export?of=pictures&format={form}&licence=CC0-1.0&split=train")
    assert answer.headers["content-disposition"] == f'attachment; filename="pictures.{form}"'
    rows = _rows(answer.content, form)
    assert sorted(row["key"] for row in rows) == sorted(row["key"] for row in wanted)
    assert {row["url"] for row in rows} == {row["url"] for row in wanted}
    documents = _rows(client.get(f"/export?of=documents&format={form}").content, form)
    assert len(documents) == manifest_of(out, "text").counts.kept
    away = _rows(
        client.get(f"/export?of=rejects&stage=images&format={form}&reason=rejected:extreme_aspect").content, form
    )
    assert len(away) == manifest_of(out, "images").counts.rejected["extreme_aspect"]


def test_a_table_has_no_cell_that_a_spreadsheet_would_compute(tmp_path: Path):
    planted = ("=HYPERLINK(1)", "+1", "-2", "@SUM(1)", "an oak = a tree")
    out = write_virtual_build(tmp_path / "out", 60, 20, planted)
    captions = [row["caption"] for row in _rows(client_of(out).get("/export?of=pictures&format=csv").content, "csv")]
    assert not [caption for caption in captions if caption[:1] in "=+-@" and caption]
    assert any(caption.startswith("'=HYPERLINK(1)") or "=HYPERLINK(1)" in caption for caption in captions)
    whole = _rows(client_of(out).get("/export?of=pictures&format=parquet").content, "parquet")
    assert sorted(row["caption"] for row in whole) == sorted(r["caption"] for r in table_rows(out, "images", "images-"))


def _rows(data: bytes, form: str) -> list[dict[str, str]]:
    if form == "csv":
        return list(csv.DictReader(io.StringIO(data.decode("utf-8"))))
    rows: list[dict[str, str]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return rows


def test_forget_prepares_the_command_and_takes_nothing_away(client: TestClient, out: Path):
    before = sorted(path for path in out.rglob("*"))
    host = table_rows(out, "images", "images-")[0]["url"].split("/")[2]
    num_pictures = sum(f"//{host}/" in row["url"] for row in table_rows(out, "images", "images-"))
    page = text_of(client, f"/forget?kind=host&value={host}")
    assert f"seedbed forget {out} --host {host}" in page
    assert f"images {num_pictures:,} rows" in page
    hostile = client.get("/forget", params={"kind": "url", "value": "https://a.example/$(touch x)';"}).text
    assert html.escape("'https://a.example/$(touch x)'\"'\"';'") in hostile.replace("&#34;", "&quot;").replace(
        "&#39;", "&#x27;"
    )
    assert sorted(path for path in out.rglob("*")) == before


def test_shards_are_verified_from_the_page(client: TestClient, out: Path):
    assert "✓ all there, in their lengths" in text_of(client, "/shards")
    client.post("/verification?deep=1", headers={"origin": LOOPBACK})
    wait_for(lambda: "…" not in text_of(client, "/verification"), "the verification")
    assert "✓ no fault , every byte read" in text_of(client, "/verification")


def test_two_builds_are_compared_with_the_records_that_only_one_has(out: Path, tmp_path: Path):
    other = write_virtual_build(tmp_path / "other", 150, 40, is_stored=True)
    client = client_of(out, other)
    page = text_of(client, "/diff")
    before, after = (manifest_of(folder, "images").counts.kept for folder in (other, out))
    assert f"kept {before:,} {after:,} {after - before:+,}" in page
    keys = [{row["key"] for row in table_rows(folder, "images", "images-")} for folder in (other, out)]
    records = text_of(client, "/fragment/diff_records?stage=images")
    told = f"{len(keys[0] & keys[1])} in both; {len(keys[0] - keys[1])} lost, {len(keys[1] - keys[0])} new."
    assert told in records
    paths = re.findall(r'src="(/picture/clean[^"]*)"', client.get("/fragment/diff_records?stage=images").text)
    assert paths
    assert all(picture_at(client, html.unescape(path)).shape == (16, 16, 3) for path in paths)


def test_an_address_is_all_that_a_state_needs(client: TestClient):
    for path in ("/triplets?step=2&licence=CC0-1.0", "/trainer?seed=3&position=8", "/windows?first=12", "/shards"):
        assert client.get(path).text == client.get(path).text


def test_the_grid_of_a_sole_dataset_folder_opens_too(out: Path):
    folder = next((out / "triplets").glob("*/manifest.json")).parent
    for where in (folder, out / "triplets"):
        assert len(keys_in(client_of(where), "/triplets")) == 24
        dataset = Source(where).triplets("train")
        assert isinstance(dataset, TripletDataset)


def test_another_stage_is_compared_though_the_form_names_versions_of_the_former(out: Path, tmp_path: Path):
    shutil.copytree(out, tmp_path / "out")
    current = {stage: manifest_of(out, stage).fingerprint for stage in ("images", "text")}
    for stage, fingerprint in current.items():
        shutil.copytree(out / stage / fingerprint, tmp_path / "out" / stage / f"old{stage}")
    client = client_of(tmp_path / "out")
    told = text_of(client, f"/diff?stage=text&a=oldimages&b={current['images']}")
    assert f"Before: oldtext , after: {current['text']}" in told
    assert client.get("/diff?stage=text&a=nowhere").status_code == 400


def test_the_overview_counts_virtual_samples_as_their_grid_does(client: TestClient):
    of_train = re.search(r"1 to 24 of ([0-9,]+)", text_of(client, "/triplets"))
    assert of_train is not None
    assert f"triplets: samples train {of_train[1]} " in text_of(client, "/")


def test_lengths_of_windows_that_were_drawn_are_said_to_be(out: Path, monkeypatch: pytest.MonkeyPatch):
    windows = Source(out)
    number = sum(len(windows.windows(split)) for split in windows.splits("windows"))
    assert "Tokens a window" in (whole := text_of(client_of(out), "/fragment/charts"))
    assert "drawn" not in whole
    monkeypatch.setattr("pipelines.inspect.views.overview.NUM_DRAWN", 2)
    drawn = 2 * len(windows.splits("windows"))
    assert f"Tokens a window, {drawn} of {number} drawn" in text_of(client_of(out), "/fragment/charts")


def test_triplets_are_filtered_by_the_pictures_they_were_made_from_though_others_are_in_force(
    out: Path, tmp_path: Path
):
    shutil.copytree(out, tmp_path / "out")
    images = tmp_path / "out" / "images"
    old = manifest_of(out, "images").fingerprint
    shutil.copytree(images / old, images / "newer")
    table = images / "newer" / "images-000000.parquet"
    pq.write_table(pq.read_table(table).slice(0, 5), table)
    (images / "current").write_text("newer\n")
    paths = ("/triplets?licence=unknown&step=1", "/export?of=triplets&format=csv&licence=unknown&split=train")
    clients = (client_of(out), client_of(images.parent))
    grids = [each.get(paths[0]).text.partition("<main")[2] for each in clients]
    tables = [each.get(paths[1]).text for each in clients]
    assert (grids[0], tables[0]) == (grids[1], tables[1])
    assert len(keys_in(client_of(out), paths[0])) > 5
    shutil.rmtree(images / old)
    client = client_of(images.parent)
    shown = set(keys_in(client, paths[0]))
    assert shown
    assert shown <= {f"{r['key']}-k1-d0" for r in table_rows(out, "images", "images-") if r["licence"] == "unknown"}
    assert client.get(paths[1]).text == "the tables of the pictures that these triplets were made from are not here\n"


def test_what_the_scores_turned_away_is_not_taken_along_with_the_triplets(out: Path, tmp_path: Path):
    shutil.copytree(out, folder := tmp_path / "out")
    keys = [row["key"] for row in table_rows(out, "images", "images-") if row["split"] == "train"]
    score = Stage(folder, "score")
    path = score.folder / "scores-000000.parquet"
    pq.write_table(pa.table({"key": keys[1:]}), path)
    with path.open("rb") as file:
        score.commit([file_entry(file, path.name, len(keys) - 1)], Fates(kept=len(keys) - 1))
    triplets = manifest_of(out, "triplets")
    inputs = (*triplets.inputs, InputEntry("score", score.fingerprint, manifest_sha256(score.folder)))
    write_manifest(folder / "triplets" / triplets.fingerprint, replace(triplets, inputs=inputs))
    address = "/export?of=triplets&format=parquet&split=train"
    rows = _rows(client_of(folder).get(address).content, "parquet")
    assert sorted(row["key"] for row in rows) == sorted(keys[1:])
    path.write_bytes(b"PAR1 and no more")
    _refused(folder, address, path.name)


@pytest.mark.parametrize("of", ["pictures", "triplets", "documents", "rejects"])
def test_no_part_is_taken_along_for_the_whole(out: Path, tmp_path: Path, of: str):
    shutil.copytree(out, folder := tmp_path / "out")
    names = {"documents": ("text", "documents-"), "rejects": ("images", "rejects-")}
    stage, prefix = names.get(of, ("images", "images-"))
    path = next((folder / stage).glob(f"*/{prefix}*.parquet"))
    path.write_bytes(b"PAR1 and no more")
    _refused(folder, f"/export?of={of}&format=csv&stage=images", path.name)


def _refused(out: Path, address: str, name: str) -> None:
    answer = client_of(out).get(address)
    assert answer.status_code == 400
    assert f"{name} cannot be read" in answer.text
