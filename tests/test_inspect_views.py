"""What the views show is what stands in shards and tables: every number and picture is compared with its source."""

import csv
import html
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from starlette.testclient import TestClient

from models import denoiser, language
from pipelines.inspect.ladders import is_recomputed, noisy_at, percent_of
from pipelines.inspect.pixels import values_to_pixels
from pipelines.inspect.places import find_sample, key_of
from pipelines.inspect.sources import Source
from pipelines.inspect.views.windows import shown_token
from shards import open_dataset
from shards.dataset import TripletDataset
from shards.npy import npy_bytes
from shards.triplet import TripletSpec, encode_triplet, parse_triplet_key
from tests.builds import manifest_of, table_rows, wait_for
from tests.inspected import LOOPBACK, client_of
from tests.tiny_datasets import draw_tree, write_triplets
from tests.virtual_samples import LICENCES, write_virtual_build

TINY_RUN = ("--num-steps", "1", "--batch-size", "2", "--width", "16", "--report-steps", "1")
SPECS = {
    "interpolate": TripletSpec(8, seed=7),
    "add": TripletSpec(8, steps=4, schedule="add", sigma=2.0),
    "list": TripletSpec(8, steps=2, schedule="list", variances=(0.25, 1.0)),
    "sparse": TripletSpec(8, corruption="sparse"),
    "whiteout": TripletSpec(8, corruption="whiteout"),
    "draws": TripletSpec(8, steps=2, draws=3),
    "virtual": TripletSpec(8, steps=3, draws=2, mode="virtual"),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of 200 pictures with everything stored, and two trained models."""
    folder = write_virtual_build(tmp_path_factory.mktemp("views"), 200, 60, is_stored=True)
    assert denoiser.main([str(folder), "--out", str(folder / "runs" / "small"), *TINY_RUN]) == 0
    assert language.main([str(folder), "--out", str(folder / "runs" / "words"), *TINY_RUN, "--num-layers", "1"]) == 0
    return folder


@pytest.fixture(scope="module")
def client(out: Path) -> TestClient:
    return client_of(out)


def _text(client: TestClient, path: str) -> str:
    """What a page says, blanks folded."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def _keys(client: TestClient, path: str) -> list[str]:
    """The keys of the samples in a grid."""
    return re.findall(r'href="/triplet\?key=([^"&]*)', client.get(path).text)


def _picture(client: TestClient, path: str) -> np.ndarray:
    answer = client.get(path)
    assert answer.headers["content-type"] == "image/png", answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


@pytest.mark.parametrize("name", SPECS)
def test_a_picture_at_the_level_of_a_rung_is_that_rung_bit_for_bit(tmp_path: Path, name: str):
    spec = SPECS[name]
    write_triplets(tmp_path / "triplets", spec, {"train": [draw_tree(3, 8)]})
    dataset = open_dataset(tmp_path / "triplets")
    for number in range(len(dataset)):
        sample = dataset[number]
        key, step, draw = parse_triplet_key(sample["key"])
        percent = percent_of(spec, step)
        if 100 * step % spec.steps == 0:
            assert noisy_at(spec, key, sample["clean"], draw, percent).tobytes() == sample["noisy"].tobytes()
        assert is_recomputed(spec, sample)
        for changed in ("noise", "noisy"):
            other = sample | {changed: sample[changed] + np.float16(1)}
            assert not is_recomputed(spec, other)
        assert not is_recomputed(spec, sample | {"clean": 255 - sample["clean"]})


@pytest.mark.parametrize("mode", ["materialised", "virtual"])
def test_every_sample_is_found_by_its_key_in_any_number_of_shards(tmp_path: Path, mode: str):
    spec = TripletSpec(8, steps=3, draws=2, mode=mode)
    pictures = [draw_tree(seed, 8) for seed in range(11)]
    write_triplets(tmp_path / "triplets", spec, {"train": pictures}, samples_per_shard=4)
    dataset = open_dataset(tmp_path / "triplets")
    keys = [dataset[number]["key"] for number in range(len(dataset))]
    assert [key_of(dataset, number) for number in range(len(dataset))] == keys
    assert [find_sample(dataset, key) for key in keys] == list(range(len(dataset)))
    for unknown in ("0" * 32, "f" * 32 + "-k1-d0", keys[0][:32] + "-k4-d0", keys[0][:32] + "-k1-d2"):
        assert find_sample(dataset, unknown) is None
    client = client_of(tmp_path)
    for step in range(4):
        found = [key for first in range(0, 66, 24) for key in _keys(client, f"/triplets?step={step}&first={first}")]
        assert sorted(found) == sorted(key for key in keys if not step or f"-k{step}-" in key)


def test_filters_show_what_has_them_and_nothing_else(client: TestClient, out: Path):
    rows = [row for row in table_rows(out, "images", "images-") if row["split"] == "train"]
    host = rows[0]["url"].split("/")[2]
    word = rows[0]["caption"].split()[0]
    wanted = {
        "licence=CC0-1.0": {row["key"] for row in rows if row["licence"] == "CC0-1.0"},
        f"host={host}": {row["key"] for row in rows if f"//{host}/" in row["url"]},
        f"word={word.upper()}": {row["key"] for row in rows if word.lower() in row["caption"].lower()},
        f"licence=CC0-1.0&host={host}": {
            r["key"] for r in rows if r["licence"] == "CC0-1.0" and f"//{host}/" in r["url"]
        },
    }
    for query, keys in wanted.items():
        found = [key for first in range(0, 240, 24) for key in _keys(client, f"/triplets?{query}&step=2&first={first}")]
        assert sorted(found) == sorted(f"{key}-k2-d0" for key in keys), query
        assert f"of {len(keys):,}" in _text(client, f"/triplets?{query}&step=2")
    assert len(set(LICENCES)) == 4


def test_a_dataset_that_came_alone_is_filtered_by_its_records(out: Path, tmp_path: Path):
    (tmp_path / "triplets").symlink_to(out / "triplets")
    client = client_of(tmp_path)
    rows = [
        row for row in table_rows(out, "images", "images-") if row["split"] == "train" and row["licence"] == "CC0-1.0"
    ]
    found, path = [], "/triplets?licence=CC0-1.0&step=1"
    while path:
        page = client.get(path).text
        found += re.findall(r'href="/triplet\?key=([^"&]*)', page)
        following = re.search(r'<a rel="next" href="([^"]*)"', page)
        path = html.unescape(following[1]) if following else ""
    assert sorted(found) == sorted(f"{row['key']}-k1-d0" for row in rows)
    assert "evenly drawn: this dataset came without the tables" in _text(client, "/fragment/charts")


def test_the_panels_of_a_triplet_are_its_arrays(client: TestClient, out: Path):
    dataset = Source(out).triplets("train")
    sample = dataset[17]
    where = f"split=train&key={sample['key']}"
    assert np.array_equal(_picture(client, f"/picture/panel?{where}&panel=clean"), sample["clean"])
    assert np.array_equal(_picture(client, f"/picture/panel?{where}&panel=noisy"), values_to_pixels(sample["noisy"]))
    assert np.array_equal(_picture(client, f"/picture/ladder?{where}&percent=0"), sample["clean"])
    level = percent_of(dataset.spec, sample["step"])
    assert np.array_equal(
        _picture(client, f"/picture/ladder?{where}&percent={level}"), values_to_pixels(sample["noisy"])
    )
    strip = _picture(client, f"/picture/strip?{where}")
    assert np.array_equal(strip[:, 18:34], sample["clean"])
    page = _text(client, f"/triplet?{where}")
    assert f"mean {sample['noise'].astype(float).mean():+.3f}" in page
    assert sample["meta"]["url"] in page
    assert "✓" in page


def test_stored_noise_that_is_another_is_ticked_off_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = TripletSpec(8, steps=1)
    write_triplets(tmp_path / "right" / "triplets", spec, {"train": [draw_tree(3, 8)]})

    def encode_wrongly(*arguments: Any, **more: Any) -> tuple[str, dict[str, bytes]]:
        key, members = encode_triplet(*arguments, **more)
        return key, members | {"noise.npy": npy_bytes(np.zeros(spec.shape, np.float16))}

    monkeypatch.setattr("tests.tiny_datasets.encode_triplet", encode_wrongly)
    write_triplets(tmp_path / "wrong" / "triplets", spec, {"train": [draw_tree(3, 8)]})
    assert "✓ recomputed noise equals stored" in _text(client_of(tmp_path / "right"), "/triplet")
    assert "✗ recomputed noise differs from stored" in _text(client_of(tmp_path / "wrong"), "/triplet")


def test_a_window_shows_its_words_the_next_ones_and_those_the_dictionary_lacks(client: TestClient, out: Path):
    dataset = Source(out).windows("val")
    texts = {row["key"]: row["text"] for row in table_rows(out, "text", "documents-")}
    num_unknown = 0
    for number in range(len(dataset)):
        sample = dataset[number]
        tokens = sample["tokens"][: sample["length"]].tolist()
        page = client.get(f"/window?split=val&key={sample['key']}").text
        chips = re.findall(r'<span class="chip([^"]*)" tabindex="0"(?: data-next="([^"]*)")?>([^<]*)</span>', page)
        assert [html.unescape(following) for _, following, _ in chips] == [
            *(shown_token(dataset.tokenizer.token(token)) for token in tokens[1:]),
            "",
        ]
        everything = " ".join(texts[piece["key"]] for piece in sample["meta"]["documents"])
        for token, (kind, _, word) in zip(tokens, chips, strict=True):
            assert ("unknown" in kind) == (token == 0)
            assert html.unescape(word) in everything if token == 0 else word
        num_unknown += tokens.count(0)
        parts = re.findall(r'<mark class="calm">([^<]*)</mark>', page)
        assert len(parts) == len(sample["meta"]["documents"])
        for part, piece in zip(parts, sample["meta"]["documents"], strict=True):
            own = dataset.tokenizer.encode(html.unescape(part)).tolist()
            assert own == [t for t in tokens[piece["offset"] : piece["offset"] + piece["length"]] if t != 1]
    assert num_unknown > 0


def test_the_funnel_is_that_of_the_manifests_and_leads_to_every_record(client: TestClient, out: Path):
    funnel = _text(client, "/funnel")
    for stage in ("crawl", "images", "text"):
        counts = manifest_of(out, stage).counts
        rejected, failed = sum(counts.rejected.values()), sum(counts.failed.values())
        told = f"{counts.records_in:,} in = {counts.kept:,} kept + {rejected:,} rejected + {failed:,} failed"
        assert told in funnel
    rows = [row for row in table_rows(out, "images", "rejects-") if row["reason"] == "near_duplicate"]
    page = client.get("/rejects?stage=images&reason=rejected:near_duplicate").text
    assert f"of {len(rows)}" in page
    for row in rows:
        assert html.escape(row["key"]) in page
    for path in re.findall(r'src="(/picture/fetched[^"]*)"', page):
        assert _picture(client, html.unescape(path)).shape[2] == 3


@pytest.mark.parametrize(("epoch", "rank", "world"), [(0, 0, 1), (0, 2, 3), (4, 1, 2)])
def test_the_trainers_batch_is_the_loaders_next(client: TestClient, out: Path, epoch: int, rank: int, world: int):
    dataset = open_dataset(out / "triplets")
    loader = dataset.loader(4, seed=5, rank=rank, world_size=world, noise="fresh")
    position = epoch * len(dataset) + 40
    loader.load_state_dict(loader.state_dict() | {"epoch": position // len(dataset), "position": position})
    batch = next(iter(loader))
    query = f"seed=5&epoch={epoch}&position=40&rank={rank}&world={world}&batch=4"
    for row in range(4):
        strip = _picture(client, f"/picture/batch?{query}&row={row}")
        assert np.array_equal(strip[:, :16], values_to_pixels(batch["noisy"][row]))
        assert np.array_equal(strip[:, 18:34], batch["clean"][row])
    told = f"A loader whose state says position {position:,} delivers this next."
    assert told in _text(client, f"/trainer?{query}")


def test_trained_models_are_shown_at_work(client: TestClient, out: Path):
    assert "small" in _text(client, "/trainer")
    assert len(re.findall("squared error [0-9.]+", _text(client, "/fragment/denoised?run=small&batch=4"))) == 4
    assert _picture(client, "/picture/denoised?run=small&batch=4&row=3").shape == (16, 16, 3)
    grown = client.get("/fragment/grown?run=small").text
    assert len(re.findall("squared distance", grown)) == 4
    known = {row["key"] for row in table_rows(out, "images", "images-") if row["split"] == "train"}
    nearest = set(re.findall(r"key=([0-9a-f]{32})-k1-d0", grown))
    assert nearest
    assert nearest <= known
    words = _text(client, "/fragment/next_words?stage=windows&run=words&row=1&at=5")
    shares = [float(share) for share in re.findall(r"([0-9.]+) %", words)]
    assert 8 <= len(shares) <= 9
    assert shares[:8] == sorted(shares[:8], reverse=True)
    assert sum(shares) <= 100.5
    assert "came" in words
    windows = Source(out).windows("train")
    tokens = next(iter(windows.loader(8)))["tokens"][1]
    assert windows.tokenizer.decode(tokens[:6].tolist()) in words
    wrong = client.get("/fragment/denoised?run=words")
    assert (wrong.status_code, "it is one of small" in wrong.text) == (400, True)


def test_an_item_tells_its_story_from_where_it_was_found_to_its_samples(client: TestClient, out: Path):
    row = table_rows(out, "images", "images-")[5]
    for name in (row["url"], row["key"], f"{row['key']}-k2-d0"):
        page = _text(client, f"/item?name={name}")
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
    assert f"Like it {away['key']} near duplicate" in _text(client, f"/item?name={twin}")
    assert "never met" in _text(client, "/item?name=https://nowhere.example/none")
    document = table_rows(out, "text", "documents-")[0]
    page = _text(client, f"/item?name={document['url']}")
    assert f"kept as {document['key']}" in page
    assert "hold its tokens 0 to" in page
    stored = client.get(f"/record?url={document['url']}").text
    assert (
        "&lt;html" in stored.lower() or "&lt;!doctype" in stored.lower() or html.escape(document["text"][:30]) in stored
    )


def test_search_finds_by_address_key_and_word(client: TestClient, out: Path):
    row = table_rows(out, "images", "images-")[9]
    for q in (row["url"], row["url"].partition("//")[2], row["key"], row["key"][:12], row["caption"]):
        assert row["url"] in _text(client, f"/search?q={q}"), q
    window = open_dataset(out / "windows")[3]["key"]
    assert f"/window?key={window}" in client.get(f"/search?q={window}").text
    document = table_rows(out, "text", "documents-")[4]
    assert document["url"] in _text(client, f"/search?q={document['title']}")
    assert "Nothing here has “zzzz”" in _text(client, "/search?q=zzzz")


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
    page = _text(client, f"/forget?kind=host&value={host}")
    assert f"seedbed forget {out} --host {host}" in page
    assert f"images {num_pictures:,} rows" in page
    hostile = client.get("/forget", params={"kind": "url", "value": "https://a.example/$(touch x)';"}).text
    assert html.escape("'https://a.example/$(touch x)'\"'\"';'") in hostile.replace("&#34;", "&quot;").replace(
        "&#39;", "&#x27;"
    )
    assert sorted(path for path in out.rglob("*")) == before


def test_shards_are_verified_from_the_page(client: TestClient, out: Path):
    assert "✓ all there, in their lengths" in _text(client, "/shards")
    client.post("/verification?deep=1", headers={"origin": LOOPBACK})
    wait_for(lambda: "…" not in _text(client, "/verification"), "the verification")
    assert "✓ no fault , every byte read" in _text(client, "/verification")


def test_two_builds_are_compared_with_the_records_that_only_one_has(out: Path, tmp_path: Path):
    other = write_virtual_build(tmp_path / "other", 150, 40, is_stored=True)
    client = client_of(out, other)
    page = _text(client, "/diff")
    before, after = (manifest_of(folder, "images").counts.kept for folder in (other, out))
    assert f"kept {before:,} {after:,} {after - before:+,}" in page
    keys = [{row["key"] for row in table_rows(folder, "images", "images-")} for folder in (other, out)]
    records = _text(client, "/fragment/diff_records?stage=images")
    told = f"{len(keys[0] & keys[1])} in both; {len(keys[0] - keys[1])} lost, {len(keys[1] - keys[0])} new."
    assert told in records
    paths = re.findall(r'src="(/picture/clean[^"]*)"', client.get("/fragment/diff_records?stage=images").text)
    assert paths
    assert all(_picture(client, html.unescape(path)).shape == (16, 16, 3) for path in paths)


def test_an_address_is_all_that_a_state_needs(client: TestClient):
    for path in ("/triplets?step=2&licence=CC0-1.0", "/trainer?seed=3&position=8", "/windows?first=12", "/shards"):
        assert client.get(path).text == client.get(path).text


def test_the_grid_of_a_sole_dataset_folder_opens_too(out: Path):
    folder = next((out / "triplets").glob("*/manifest.json")).parent
    for where in (folder, out / "triplets"):
        assert len(_keys(client_of(where), "/triplets")) == 24
        dataset = Source(where).triplets("train")
        assert isinstance(dataset, TripletDataset)
