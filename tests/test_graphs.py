"""What a graph hands to its workers does not grow with the records: references, and no megabyte of side input."""

import functools
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from crawl.demo.server import DemoServer
from crawl.records import LEDGER_SCHEMA, LINK_SCHEMA
from pipelines import crawl, images, score, text, triplets, windows
from pipelines.build import make_job
from pipelines.engine import run_job
from pipelines.load_recipe import load_recipe
from pipelines.stages import Job
from pipelines.tables import write_table
from pipelines.tombstones import Tombstones
from shards.manifest import FileEntry, Manifest, encode_manifest
from tests.arboretum import overrides, run
from tests.builds import manifest_of, table_rows
from tests.shuffles import measured_side_inputs, payloads
from tests.test_build import copy_of

MEGABYTE = 2**20
MILLION = 10**6
RECORDS_PER_TABLE = 200
"""Of a crawl, unless the recipe says otherwise: at a million records it has 5,000 ledgers, as many tables of links."""

DIGITS = 200
"""Bytes by which larger numbers may be longer, and Beam's own steps vary; ten times the records would add thousands."""

SMALL_TABLE = 10
PARTS_OF_A_MILLION = 400
"""Tables of a million clean pictures or documents of 25 kB each, at 64 MiB a table."""

BUILDS: dict[str, Callable[..., None]] = {
    "crawl": functools.partial(crawl.build_round, number=1),
    "images": images.build,
    "score": functools.partial(score.build, head=None),
    "text": text.build,
    "triplets": triplets.build,
    "windows": windows.build,
}


class Measured(NamedTuple):
    """What a graph hands over: bytes by name, and how many tables it read."""

    tables: int
    bytes: dict[str, int]


def cut(rows: list[dict[str, Any]], folder: Path, prefix: str, schema: pa.Schema, num_rows: int) -> list[FileEntry]:
    pieces = [rows[begin : begin + num_rows] for begin in range(0, len(rows), num_rows)]
    return [
        write_table(folder, f"{prefix}001-00-{number:05d}.parquet", piece, schema)
        for number, piece in enumerate(pieces)
    ]


def crawl_cut(built: Path, out: Path, every: int, num_rows: int) -> Manifest:
    """The crawl of a build in tables of so many rows, or every so-manyth record of it."""
    manifest = manifest_of(built, "crawl")
    source, folder = (place / "crawl" / manifest.fingerprint for place in (built, out))
    folder.mkdir(parents=True)
    ledger = table_rows(built, "crawl", "ledger-")[::every]
    asked = {row["url"] for row in ledger}
    links = [row for row in table_rows(built, "crawl", "links-") if row["to_url"] in asked]
    warcs = [file for file in manifest.files if file.path.endswith(".warc.gz")]
    for file in warcs:
        os.link(source / file.path, folder / file.path)
    ledgers = cut(ledger, folder, "ledger-", LEDGER_SCHEMA, num_rows)
    found = replace(manifest, files=(*warcs, *ledgers, *cut(links, folder, "links-", LINK_SCHEMA, num_rows)))
    (folder / "manifest.json").write_bytes(encode_manifest(found))
    (folder.parent / "current").write_text(f"{manifest.fingerprint}\n")
    return found


def job_of(server: DemoServer, stage: str, out: Path, inputs: dict[str, Manifest], *more: str) -> Job:
    unscored = () if stage == "score" else ("score=null",)
    recipe = load_recipe("demo", [*overrides(server), *unscored, *more])
    return replace(make_job(stage, recipe, out, inputs, Tombstones(), workers=1), inputs=inputs)


def measure(job: Job) -> dict[str, int]:
    """Bytes of each step of a graph and, where it is run, of each side input."""
    found = {}
    if job.stage not in ("crawl", "score"):  # which have no side inputs
        with measured_side_inputs() as side_inputs:
            run_job(job)
        found = {f"side input {number}": size for number, size in side_inputs.items()}
    graph = payloads(functools.partial(BUILDS[job.stage], job=job))
    return found | {name: len(payload) for name, payload in graph.items()}


def at_a_million(few: Measured, many: Measured, tables: int) -> dict[str, int]:
    """What each would take if there were so many tables."""
    assert few.bytes.keys() == many.bytes.keys()
    assert many.tables > few.tables
    growth = {name: (size - few.bytes[name]) / (many.tables - few.tables) for name, size in many.bytes.items()}
    return {name: round(many.bytes[name] + by_table * tables) for name, by_table in growth.items()}


@pytest.mark.parametrize("stage", ["crawl", "images", "text"])
def test_what_reads_a_crawl_hands_over_less_than_a_megabyte_at_a_million_records(
    server: DemoServer, built: Path, tmp_path: Path, stage: str
) -> None:
    found = []
    for every in (10, 1):
        manifest = crawl_cut(built, tmp_path / str(every), every, SMALL_TABLE)
        num_ledgers = sum(file.path.startswith("ledger-") for file in manifest.files)
        job = job_of(server, stage, tmp_path / str(every), {"crawl": manifest})
        found.append(Measured(num_ledgers, measure(job)))
    few, many = found
    assert many.tables >= 9 * few.tables
    sizes = at_a_million(few, many, MILLION // RECORDS_PER_TABLE)
    assert {name: size for name, size in sizes.items() if size > MEGABYTE} == {}


@pytest.mark.parametrize("stage", ["images", "text"])
def test_more_records_in_as_many_tables_add_nothing(
    server: DemoServer, built: Path, tmp_path: Path, stage: str
) -> None:
    few, many = (
        measure(
            job_of(
                server, stage, tmp_path / str(every), {"crawl": crawl_cut(built, tmp_path / str(every), every, MILLION)}
            )
        )
        for every in (10, 1)
    )
    assert few.keys() == many.keys()
    assert {name: many[name] - few[name] for name in few if many[name] - few[name] > DIGITS} == {}


@pytest.mark.parametrize(("stage", "source"), [("score", "images"), ("triplets", "images"), ("windows", "text")])
def test_what_reads_pictures_or_documents_hands_over_less_than_a_megabyte_at_a_million(
    server: DemoServer, built: Path, tmp_path: Path, stage: str, source: str
) -> None:
    parted = copy_of(built, tmp_path / "parted", ("crawl",))
    run(server, parted, f"{source}.max_part_bytes=65536", stages=(source,))
    whole = copy_of(built, tmp_path / "whole", ("crawl", source))
    found = []
    for out in (whole, parted):
        manifest = manifest_of(out, source)
        inputs = {source: manifest, **({"crawl": manifest_of(out, "crawl")} if stage == "score" else {})}
        num_tables = sum(file.path.startswith(("images-", "documents-")) for file in manifest.files)
        found.append(Measured(num_tables, measure(job_of(server, stage, out, inputs))))
    sizes = at_a_million(found[0], found[1], PARTS_OF_A_MILLION)
    assert {name: size for name, size in sizes.items() if size > MEGABYTE} == {}


@pytest.mark.parametrize("stage", BUILDS)
def test_a_graph_names_nothing_of_the_machine_that_made_it(server: DemoServer, built: Path, stage: str) -> None:
    """No path of it besides the build's own, and nothing of a program that workers do not run."""
    inputs = {name: manifest_of(built, name) for name in ("crawl", "images", "text")}
    job = replace(job_of(server, stage, built, inputs), fingerprint=manifest_of(built, stage).fingerprint)
    for name, payload in payloads(functools.partial(BUILDS[stage], job=job)).items():
        assert b"__main__" not in payload, name
        rest = payload.replace(str(built).encode(), b"OUT")
        assert not [place for place in (tempfile.gettempdir(), str(Path.home())) if place.encode() in rest], name
