"""A plan as people and programs read it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.compact_table import compact_table
from pipelines.plan import Plan, StagePlan
from pipelines.plan.asked import KINDS, Asked


def print_plan(plan: Plan, console: Console) -> None:
    """Prints the table, then how the sources were counted and what was assumed."""
    console.print(_table(plan))
    for line in _lines(plan):
        console.print(Text(line), soft_wrap=True)


def plan_json(plan: Plan) -> str:
    """The plan as one JSON value."""
    value = {
        "stages": [asdict(stage) for stage in plan.stages],
        "total": _total(plan),
        "sources": [_source_json(source) for source in plan.sources],
        "slowest_host": plan.slowest_host,
        "is_limit": plan.is_limit,
        "assumptions": plan.assumptions,
    }
    return json.dumps(value, indent=1, ensure_ascii=False)


def _source_json(source: Asked) -> dict[str, Any]:
    fetched = {kind: sum(count for (_, each), count in source.wanted.items() if each == kind) for kind in KINDS}
    return {
        "name": source.name,
        "hosts": len({host for host, _ in source.wanted} | source.more.keys()),
        "fetched_pages": fetched["page"],
        "fetched_pictures": fetched["image"],
        "read_pages": source.pages,
        "read_pictures": source.pictures,
        "read_bytes": source.read_bytes,
        "is_limit": source.is_limit,
        "said": source.said,
    }


def _total(plan: Plan) -> dict[str, float]:
    names = ("requests", "hours", "fetched_bytes", "cpu_hours", "bytes", "cost")
    return {name: sum(getattr(stage, name) for stage in plan.stages) for name in names}


def _table(plan: Plan) -> Table:
    title = "What it would take, at most" if plan.is_limit else "What it would take"
    table = compact_table(title)
    for name in ("stage", "in", "kept", "requests", "hours", "GB\nfetched", "CPU\nhours", "GB\nwritten", "cost"):
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for stage in plan.stages:
        table.add_row(stage.stage, _count(stage.records), _count(stage.kept), *_numbers(asdict(stage), stage))
    table.add_section()
    table.add_row("all", "", "", *_numbers(_total(plan), None))
    return table


def _numbers(found: dict[str, Any], stage: StagePlan | None) -> Iterator[str]:
    asks = stage is None or stage.stage == "crawl"
    yield _count(found["requests"]) if asks else ""
    yield short(found["hours"]) if asks else ""
    yield short(found["fetched_bytes"] / 1e9) if asks else ""
    yield short(found["cpu_hours"])
    yield short(found["bytes"] / 1e9)
    yield f"${found['cost']:,.2f}"


def _count(number: int) -> str:
    """A count, of millions where it has them.

    >>> [_count(number) for number in (999_999, 5_100_306)]
    ['999,999', '5.10 M']
    """
    return f"{number:,}" if number < 1_000_000 else f"{number / 1e6:,.2f} M"


def short(number: float) -> str:
    """A number with two digits that count, or none behind the point where it is large.

    >>> [short(number) for number in (0, 0.0002, 0.00412, 3.14159, 1234.5)]
    ['0', '<0.001', '0.0041', '3.1', '1,234']
    """
    if number >= 10 or number == 0:
        return f"{number:,.0f}"
    return f"{number:.2g}" if number >= 0.001 else "<0.001"


def _lines(plan: Plan) -> Iterator[str]:
    if plan.slowest_host:
        yield f"Longest at work: {plan.slowest_host}."
    for source in plan.sources:
        yield f"{source.name}: {'; '.join(source.said)}."
    yield "Assumed:"
    yield from (f"- {assumption}" for assumption in plan.assumptions)
