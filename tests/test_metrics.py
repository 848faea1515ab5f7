"""What monitoring reads of a stage: valid OpenMetrics, with the numbers of the manifest."""

import json
from collections import Counter
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus
from rich.console import Console

from pipelines.fates import Fates
from pipelines.metrics import METRICS_NAME, Standing, metrics_text
from pipelines.progress import StageProgress
from pipelines.receipts import Receipt, finish_part, note_open
from pipelines.stages import STAGES
from shards.manifest import FileEntry
from tests.builds import manifest_of

Samples = dict[tuple[str, str, str], float]


def samples(text: str) -> Samples:
    """The numbers of a file by name, fate and reason, as the parser of OpenMetrics reads them, which is strict."""
    families = list(parse_openmetrics(text))  # type: ignore[no-untyped-call]
    assert all(family.documentation for family in families)
    return {
        (sample.name, sample.labels.get("fate", ""), sample.labels.get("reason", "")): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_of_a_committed_stage_are_those_of_its_manifest(built: Path) -> None:
    for stage in STAGES:
        manifest = manifest_of(built, stage)
        text = (built / stage / METRICS_NAME).read_text()
        found = samples(text)
        counts = {("kept", ""): manifest.counts.kept}
        counts |= {("rejected", reason): count for reason, count in manifest.counts.rejected.items()}
        counts |= {("failed", reason): count for reason, count in manifest.counts.failed.items()}
        assert {key[1:]: found.pop(key) for key in list(found) if key[0] == "seedbed_records_total"} == counts
        run = json.loads((built / stage / manifest.fingerprint / "run.json").read_text())
        seconds = found["seedbed_stage_seconds", "", ""]
        assert seconds == run["seconds"] > 0
        assert 0 < run["cpu_seconds"] < 60
        assert found["seedbed_written_bytes", "", ""] == sum(file.bytes for file in manifest.files)
        assert found["seedbed_expected_records", "", ""] == manifest.counts.records_in
        rate = found["seedbed_records_per_second", "", ""]
        assert abs(rate * seconds - manifest.counts.records_in) < 0.06 * rate + 0.001 * seconds + 0.01
        assert found["seedbed_stage_committed", "", ""] == 1
        assert f'fingerprint="{manifest.fingerprint}"' in text
        assert text.count(f'stage="{stage}"') == text.count('stage="')
        assert not any(METRICS_NAME in file.path for file in manifest.files)


def test_node_exporter_reads_the_same_numbers() -> None:
    """Its collector takes the older text format, in which the end is a comment, and only the types of that."""
    fates = Fates(3, Counter(too_small=2), Counter(broken_image=1))
    text = metrics_text(Standing("images", "0" * 12, fates, 2.0, 77, 10, False))
    older = {
        (sample.name, sample.labels.get("fate", ""), sample.labels.get("reason", "")): sample.value
        for family in parse_prometheus(text)
        for sample in family.samples
    }
    assert older == samples(text)
    assert older["seedbed_records_per_second", "", ""] == 3.0
    types = {line.split()[-1] for line in text.splitlines() if line.startswith("# TYPE")}
    assert types <= {"counter", "gauge", "histogram", "summary", "untyped"}


def test_metrics_are_written_while_a_stage_runs(tmp_path: Path) -> None:
    folder = tmp_path / "crawl" / ("0" * 12)
    folder.mkdir(parents=True)
    progress = StageProgress(Console(quiet=True), "crawl", folder, expected=0)
    finish_part(folder, "001-00-00000", lambda: Receipt((_file(folder, 50),), Fates(5)))
    note_open(folder, "001-00-00001", Fates(kept=7, failed=Counter(timeout=1)))
    progress.tick()
    found = samples((tmp_path / "crawl" / METRICS_NAME).read_text())
    assert found["seedbed_records_total", "kept", ""] == 12
    assert found["seedbed_records_total", "failed", "timeout"] == 1
    assert found["seedbed_written_bytes", "", ""] == 50
    assert found["seedbed_stage_committed", "", ""] == 0
    assert [path.name for path in (tmp_path / "crawl").iterdir() if path.is_file()] == [METRICS_NAME]


def _file(folder: Path, num_bytes: int) -> FileEntry:
    (folder / "00000.warc.gz").write_bytes(bytes(num_bytes))
    return FileEntry("00000.warc.gz", num_bytes, "0" * 64, 5)


def test_what_is_no_plain_word_is_escaped() -> None:
    fates = Fates(0, Counter({'a "\\\n': 1}))
    found = samples(metrics_text(Standing("text", "0" * 12, fates, 0.0, 0, 0, False)))
    assert found["seedbed_records_total", "rejected", 'a "\\\n'] == 1
