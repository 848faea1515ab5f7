r"""Where a stage stands, as numbers that monitoring reads: `OUT/<stage>/metrics.prom`, in the OpenMetrics text format.

The textfile collector of Prometheus' node_exporter reads such files (`--collector.textfile.directory='OUT/*'`). They
are no part of a stage's output: no manifest lists them, and nothing relies on them.

Source: OpenMetrics 1.0, "Text format".
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.fates import Fates
from shards.manifest import Manifest, atomic_write
from shards.object_path import AnyPath

METRICS_NAME = "metrics.prom"


@dataclass(frozen=True)
class Standing:
    """Where a stage stands.

    Attributes:
        stage: which stage.
        fingerprint: of what it makes, or has made.
        fates: of the records whose fate is settled.
        seconds: since it was started, or that it took.
        bytes: of files that are finished.
        expected: records that go in, 0 where that shows only on the way.
        is_committed: whether it is whole.
    """

    stage: str
    fingerprint: str
    fates: Fates
    seconds: float
    bytes: int
    expected: int
    is_committed: bool


def committed_standing(manifest: Manifest, seconds: float) -> Standing:
    """Where a stage stands that was committed after so many seconds."""
    counts = manifest.counts
    fates = Fates.from_json({"kept": counts.kept, "rejected": counts.rejected, "failed": counts.failed})
    num_bytes = sum(file.bytes for file in manifest.files)
    return Standing(manifest.stage, manifest.fingerprint, fates, seconds, num_bytes, counts.records_in, True)


def write_metrics(folder: AnyPath, standing: Standing) -> None:
    """Writes the metrics of a stage into its folder `OUT/<stage>`, in the place of earlier ones."""
    atomic_write(folder / METRICS_NAME, metrics_text(standing).encode())


def metrics_text(standing: Standing) -> str:
    """The text of `metrics.prom`."""
    return "".join(line + "\n" for line in _lines(standing))


def _lines(standing: Standing) -> Iterator[str]:
    stage, fates = f'stage="{standing.stage}"', standing.fates
    yield "# TYPE seedbed_records counter"
    yield "# HELP seedbed_records Records by what became of them."
    yield f'seedbed_records_total{{{stage},fate="kept",reason=""}} {fates.kept}'
    for fate, reasons in (("rejected", fates.rejected), ("failed", fates.failed)):
        for reason, count in sorted(reasons.items()):
            yield f'seedbed_records_total{{{stage},fate="{fate}",reason="{_escaped(reason)}"}} {count}'
    rate = fates.total / standing.seconds if standing.seconds else 0.0
    gauges = (
        ("seedbed_expected_records", "", "Records that go in; 0 where that shows only on the way.", standing.expected),
        ("seedbed_records_per_second", "", "Records settled, by the seconds since the start.", round(rate, 3)),
        (
            "seedbed_stage_seconds",
            "seconds",
            "Since its start, or that it took.",
            round(standing.seconds, 1),
        ),
        ("seedbed_written_bytes", "bytes", "In files that are finished.", standing.bytes),
        ("seedbed_stage_committed", "", "1 when the stage is whole, 0 before.", int(standing.is_committed)),
    )
    for name, unit, told, number in gauges:
        yield f"# TYPE {name} gauge"
        yield from (f"# UNIT {name} {unit}",) if unit else ()
        yield f"# HELP {name} {told}"
        yield f"{name}{{{stage}}} {number}"
    yield "# TYPE seedbed_stage_info gauge"  # node_exporter does not know the type info
    yield "# HELP seedbed_stage_info Which output of the stage this is."
    yield f'seedbed_stage_info{{{stage},fingerprint="{standing.fingerprint}"}} 1'
    yield "# EOF"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
