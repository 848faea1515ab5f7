"""Lists of addresses and folders on disk as sources of a crawl, alone and mixed."""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from crawl.picture_filters.settings import NO_FILTERS
from pipelines.build import build
from pipelines.errors import RecipeError, StageError
from pipelines.forget import forget
from pipelines.load_recipe import check_recipe
from pipelines.verify import print_faults
from tests.builds import manifest_of, table_rows
from tests.loopback import SITE_FILES, Answer, Site, pages, serve
from tests.tiny_datasets import draw_tree

HOST = "pictures.example"
HOME = f"http://{HOST}"
PROSE = "The old oak stands at the edge of the grove and drops its acorns in the autumn wind. " * 8


def _png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw_tree(seed, 32)).save(file, "PNG")
    return file.getvalue()


PICTURES = {f"/{number}.png": _png(number) for number in range(5)}


def _build(out: Path, sources: dict[str, Any], site: Site | None = None, **more: Any) -> None:
    port = site.port if site else 1
    crawl = {
        "sources": sources,
        "allow_hosts": [HOST],
        "connect_to": {HOST: f"127.0.0.1:{port}"},
        "delay_s": 0,
        "response_time_multiple": 0,
    }
    data = {
        "name": "listed",
        "contact": "gardener@example.org",
        "crawl": crawl,
        "images": {"size": 16, "filters": asdict(NO_FILTERS)},
        "split": {"train": 1.0, "val": 0.0, "test": 0.0},
        **more,
    }
    crawl.update(data.pop("manners", {}))
    recipe = check_recipe(data, "listed.yaml")
    build(recipe, out, recipe.stages(), 1, Console(quiet=True))


TABLE: dict[str, list[Any]] = {
    "link": [f"{HOME}{path}" for path in PICTURES] + ["oak"],
    "text": ["An oak", "An elm", "", "An ash", "A yew", "none"],
    "tag": [1, 2, 3, 4, 5, 6],
    "sum": [hashlib.sha256(data).hexdigest() for data in PICTURES.values()] + [""],
}


def _write(path: Path) -> Path:
    """The table in the format that the name says."""
    table = pa.table(TABLE)
    rows = table.to_pylist()
    name = path.name.removesuffix(".gz")
    if name.endswith("parquet"):
        pq.write_table(table, path, row_group_size=2)
        return path
    if name.endswith(("csv", "tsv")):
        comma = "," if name.endswith("csv") else "\t"
        text = "\n".join(comma.join(map(str, row)) for row in [table.column_names, *(row.values() for row in rows)])
    elif name.endswith("jsonl"):
        text = "\n".join(map(json.dumps, rows))
    else:
        text = json.dumps(rows)
    data = (text + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["list.parquet", "list.csv", "list.tsv.gz", "list.jsonl", "list.json.gz"])
def test_a_list_is_crawled_with_captions_hashes_and_columns(name: str, tmp_path: Path):
    listed = {"source": "urls", "files": [str(_write(tmp_path / name))], "url_column": "link", "caption_column": "text"}
    source = {**listed, "columns": ["tag"], "hash_column": "sum"}
    with serve(pages(PICTURES)) as site:
        _build(tmp_path / "out", {"list": source}, site)
    counts = manifest_of(tmp_path / "out", "crawl").counts
    assert (counts.records_in, counts.kept, counts.rejected, counts.failed) == (6, 5, {}, {"bad_url": 1})
    (damaged,) = [row for row in table_rows(tmp_path / "out", "crawl", "ledger-") if row["fate"] == "failed"]
    assert (damaged["url"], damaged["detail"]) == (f"list:list/{name}#6", "oak")
    tags = {row["to_url"]: json.loads(row["extra"]) for row in table_rows(tmp_path / "out", "crawl", "links-")}
    assert {url: int(extra["tag"]) for url, extra in tags.items()} == dict(
        zip(TABLE["link"][:5], TABLE["tag"], strict=False)
    )
    captions = {row["url"]: row["caption"] for row in table_rows(tmp_path / "out", "images", "images-")}
    assert captions == dict(zip(TABLE["link"][:5], TABLE["text"][:5], strict=True))


def test_a_plain_list_of_addresses_needs_nothing_more(tmp_path: Path):
    (tmp_path / "list.txt").write_text("\n".join(f"{HOME}{path}" for path in PICTURES))
    with serve(pages(PICTURES)) as site:
        _build(tmp_path / "out", {"list": {"source": "urls", "files": [str(tmp_path / "*.txt")]}}, site)
    assert manifest_of(tmp_path / "out", "images").counts.kept == 5


def test_a_file_with_another_hash_is_rejected(tmp_path: Path):
    rows = [{"url": f"{HOME}/0.png", "md5": "0" * 32}, {"url": f"{HOME}/1.png", "md5": ""}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = {"source": "urls", "files": [str(tmp_path / "list.jsonl")], "hash_column": "md5", "hash_algorithm": "md5"}
    with serve(pages(PICTURES)) as site:
        _build(tmp_path / "out", {"list": source}, site)
    fates = {row["url"]: row["reason"] for row in table_rows(tmp_path / "out", "crawl", "ledger-")}
    assert fates == {f"{HOME}/0.png": "hash_mismatch", f"{HOME}/1.png": ""}


def test_an_opt_out_that_is_only_recorded_is_told_of_the_clean_picture_too(tmp_path: Path):
    (tmp_path / "list.txt").write_text(f"{HOME}/0.png\n{HOME}/1.png\n")
    against = Answer(200, {"Content-Type": "image/png", "X-Robots-Tag": "noai"}, PICTURES["/0.png"])
    source = {"source": "urls", "files": [str(tmp_path / "list.txt")]}
    with serve(pages({**PICTURES, "/0.png": against})) as site:
        _build(tmp_path / "out", {"list": source}, site, manners={"opt_outs": []})
    for stage, prefix in (("crawl", "ledger-"), ("images", "images-")):
        told = {row["url"]: row["opt_out"] for row in table_rows(tmp_path / "out", stage, prefix)}
        assert told == {f"{HOME}/0.png": "noai", f"{HOME}/1.png": "none"}, stage


def test_rows_of_two_lists_of_one_name_are_told_apart(tmp_path: Path):
    for number in range(2):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "list.txt").write_text(f"{HOME}/{number}.png\nno address\n")
    with serve(pages(PICTURES)) as site:
        _build(tmp_path / "out", {"list": {"source": "urls", "files": [str(tmp_path / "*" / "list.txt")]}}, site)
    fates = {row["url"]: row["reason"] for row in table_rows(tmp_path / "out", "crawl", "ledger-")}
    lists = {"list:list/list.txt#2": "bad_url", "list:list/list.txt?2#2": "bad_url"}
    assert fates == {f"{HOME}/0.png": "", f"{HOME}/1.png": "", **lists}


def test_files_of_two_folders_of_one_name_are_told_apart(tmp_path: Path):
    sources = {}
    for number, name in enumerate(("old", "new")):
        folder = tmp_path / name / "my pictures"
        folder.mkdir(parents=True)
        (folder / "oak.png").write_bytes(_png(number))
        (folder / "broken.png").write_bytes(b"")
        sources[name] = {"source": "folder", "path": str(folder)}
    _build(tmp_path / "out", {**sources, "again": sources["new"]})
    rows = table_rows(tmp_path / "out", "crawl", "ledger-")
    assert {(row["url"], row["reason"]) for row in rows if row["fate"] == "kept"} == {
        ("file:///my%20pictures/old/oak.png", ""),
        ("file:///my%20pictures/again/oak.png", ""),
    }
    assert len(rows) == manifest_of(tmp_path / "out", "crawl").counts.records_in == 4


def test_listed_pages_lead_to_their_pictures_where_the_recipe_says_so(tmp_path: Path):
    content: dict[str, bytes | str] = {
        **PICTURES,
        "/": f'<p>{PROSE}</p><img src="/0.png"><a href="/other">other</a>',
        "/other": "x",
    }
    (tmp_path / "list.txt").write_text(f"{HOME}/\n")
    source = {"source": "urls", "files": [str(tmp_path / "list.txt")], "kind": "page", "follow": "pictures"}
    with serve(pages(content)) as site:
        _build(tmp_path / "out", {"list": source}, site, text={"gopher_quality": {"min_words": 20}})
    assert {path for _, path in site.requests} == {*SITE_FILES, "/", "/0.png"}
    assert manifest_of(tmp_path / "out", "images").counts.kept == 1


@pytest.mark.parametrize(
    ("files", "column", "message"),
    [
        (["nowhere/*.csv"], "link", "nowhere/*.csv: no such file; check the files that the recipe names"),
        (["nosuch://bucket/list.csv"], "link", "check the files that the recipe names"),
        (["list.csv"], "address", "address"),
        (["list.zip"], "link", "list.zip"),
    ],
)
def test_a_list_that_cannot_be_read_is_named(files: list[str], column: str, message: str, tmp_path: Path):
    _write(tmp_path / "list.csv")
    (tmp_path / "list.zip").write_bytes(b"PK")
    source = {
        "source": "urls",
        "files": [file if ":" in file else str(tmp_path / file) for file in files],
        "url_column": column,
    }
    with pytest.raises(StageError) as error:
        _build(tmp_path / "out", {"list": source})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_changed_list_is_crawled_again(tmp_path: Path):
    path = tmp_path / "list.txt"
    for number in (1, 2):
        path.write_text("\n".join(f"{HOME}/{n}.png" for n in range(number)))
        with serve(pages(PICTURES)) as site:
            _build(tmp_path / "out", {"list": {"source": "urls", "files": [str(path)]}}, site)
        assert manifest_of(tmp_path / "out", "crawl").counts.kept == number


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    """A folder with two pictures, their captions, a text and a file that is nothing."""
    folder = tmp_path / "trees"
    (folder / "old").mkdir(parents=True)
    (folder / "oak.png").write_bytes(_png(1))
    (folder / "oak.txt").write_text("An old oak")
    (folder / "old" / "elm.png").write_bytes(_png(2))
    about = {"caption": "An elm", "license": "CC0", "author": "Ann", "url": "https://trees.example/elm", "height": 7}
    (folder / "old" / "elm.json").write_text(json.dumps(about))
    (folder / "story.md").write_text(f"# The grove\n\n{PROSE}\n")
    (folder / "noise.bin").write_bytes(b"\0\1\2")
    return folder


def test_a_folder_becomes_pictures_with_captions_and_documents(trees: Path, tmp_path: Path):
    out = tmp_path / "out"
    text = {"gopher_quality": {"min_words": 20}, "gopher_repetition": None}
    _build(out, {"disk": {"source": "folder", "path": str(trees)}}, text=text)
    crawl = manifest_of(out, "crawl").counts
    assert (crawl.kept, crawl.records_in) == (3, crawl.kept + sum(crawl.rejected.values()) + sum(crawl.failed.values()))
    pictures = {row["url"]: row for row in table_rows(out, "images", "images-")}
    assert pictures["file:///trees/oak.png"]["caption"] == "An old oak"
    elm = pictures["file:///trees/old/elm.png"]
    facts = ("caption", "caption_source", "licence", "author", "page_url", "robots_rule")
    assert [elm[fact] for fact in facts] == [
        "An elm",
        "sidecar",
        "CC0-1.0",
        "Ann",
        "https://trees.example/elm",
        "not_asked",
    ]
    (document,) = table_rows(out, "text", "documents-")
    assert (document["title"], document["url"]) == ("The grove", "file:///trees/story.md")
    assert str(tmp_path) not in json.dumps([*pictures.values(), document])
    assert print_faults(str(out), True, Console(quiet=True)) == 0


def test_a_file_on_disk_can_be_forgotten(trees: Path, tmp_path: Path):
    out = tmp_path / "out"
    _build(out, {"disk": {"source": "folder", "path": str(trees)}})
    forget(out, [("sha256", hashlib.sha256(_png(1)).hexdigest())])
    assert [row["url"] for row in table_rows(out, "images", "images-")] == ["file:///trees/old/elm.png"]
    _build(out, {"disk": {"source": "folder", "path": str(trees)}})
    assert manifest_of(out, "images").counts.kept == 1


def test_sources_mix_and_a_url_of_two_is_asked_for_once(trees: Path, tmp_path: Path):
    (tmp_path / "list.txt").write_text(f"{HOME}/0.png\n{HOME}/1.png\n")
    sources = {
        "disk": {"source": "folder", "path": str(trees)},
        "list": {"source": "urls", "files": [str(tmp_path / "list.txt")]},
        "site": {"source": "site", "seeds": [f"{HOME}/"]},
    }
    content: dict[str, bytes | str] = {**PICTURES, "/": '<img src="/0.png" alt="An oak"><img src="/2.png">'}
    with serve(pages(content)) as site:
        _build(tmp_path / "out", sources, site)
    asked = [path for _, path in site.requests]
    assert sorted(asked) == sorted([*SITE_FILES, "/", "/0.png", "/1.png", "/2.png"])
    assert {row["source"] for row in table_rows(tmp_path / "out", "crawl", "ledger-")} == set(sources)
    assert len(table_rows(tmp_path / "out", "images", "images-")) == 3  # both of the folder's are on the web too


def test_a_picture_that_one_page_speaks_against_is_not_used_though_another_offers_it(tmp_path: Path):
    content: dict[str, bytes | str] = {
        **PICTURES,
        "/": '<a href="/b">b</a><a href="/c">c</a><img src="/0.png" alt="An oak"><img src="/1.png" alt="An elm">',
        "/b": '<meta name="robots" content="noimageai"><img src="/0.png" alt="The oak"><img src="/2.png">',
        "/c": '<meta name="robots" content="noindex"><img src="/1.png"><img src="/3.png">',
    }
    with serve(pages(content)) as site:
        _build(tmp_path, {"site": {"source": "site", "seeds": [f"{HOME}/"]}}, site)
    assert not {(HOST, "/2.png"), (HOST, "/3.png")} & set(site.requests)
    assert [row["url"] for row in table_rows(tmp_path, "images", "images-")] == [f"{HOME}/1.png"]
    (reject,) = table_rows(tmp_path, "images", "rejects-")
    assert (reject["key"], reject["reason"]) == (f"{HOME}/0.png", "opted_out_by_page")
    assert reject["detail"] == f"noimageai on {HOME}/b"
    assert print_faults(str(tmp_path), True, Console(quiet=True)) == 0


@pytest.mark.parametrize(("encoding", "extension"), [("jpeg", "jpg"), ("webp", "webp")])
def test_pictures_are_stored_as_the_recipe_says(encoding: str, extension: str, trees: Path, tmp_path: Path):
    sources = {"disk": {"source": "folder", "path": str(trees)}}
    _build(tmp_path, sources, images={"size": 16, "encoding": encoding, "filters": asdict(NO_FILTERS)})
    files = {}
    for part in tmp_path.glob("images/*/part-*.tar"):
        with tarfile.open(part) as tar:
            found = [(member.name, tar.extractfile(member)) for member in tar]
            files.update({name: file.read() for name, file in found if file and name.endswith(extension)})
    assert len(files) == 2
    assert all(hashlib.sha256(body).hexdigest()[:32] == name.partition(".")[0] for name, body in files.items())
    assert {Image.open(io.BytesIO(body)).format for body in files.values()} == {encoding.upper()}
    assert print_faults(str(tmp_path), True, Console(quiet=True)) == 0


def test_triplets_are_not_made_from_lossy_pictures(trees: Path, tmp_path: Path):
    sources = {"disk": {"source": "folder", "path": str(trees)}}
    with pytest.raises(RecipeError, match="triplets need png"):
        _build(tmp_path, sources, images={"size": 16, "encoding": "jpeg"}, triplets={})
