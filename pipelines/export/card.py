"""What an export says of itself: the card that the hub shows, and what is known of licences."""

import json
from collections.abc import Iterable, Mapping, Sequence

from pipelines.export.sources import Source
from shards.describe import SPLITS

CARD_NAME, LICENCES_NAME = "README.md", "LICENCES.md"

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_TASKS = {"triplets": "image-to-image", "pictures": "unconditional-image-generation", "windows": "text-generation"}


def dataset_card(sources: Sequence[Source], rows: Mapping[str, Mapping[str, int]]) -> str:
    """The text of `README.md`: YAML that `datasets` and the hub read, then prose for people.

    Source: https://huggingface.co/docs/hub/datasets-cards and datasets-manual-configuration.

    Args:
        sources: what was exported.
        rows: of each configuration, by split.
    """
    total = max(sum(counts.values()) for counts in rows.values())
    size = next((label for limit, label in _SIZES if total < limit), "n>10M")
    title = next((name for each in sources if (name := each.committed.manifest.configuration.get("name"))), "Seedbed")
    tasks = list(dict.fromkeys(_TASKS.get(source.name, "text-generation") for source in sources))
    lines = [
        "---",
        f"pretty_name: {json.dumps(title)}",
        *("license: other", "license_name: each-row-names-its-own", f"license_link: {LICENCES_NAME}"),
        *("tags:", "- seedbed", "task_categories:", *(f"- {task}" for task in tasks)),
        *("size_categories:", f"- {size}", "configs:"),
        *(line for source in sources for line in _config(source.name, rows[source.name])),
        "---",
        "",
        f"# {title}",
        "",
        "Grown from the web by Seedbed.",
        *(line for source in sources for line in _about(source, rows[source.name])),
        "",
        "Every row says where it came from, as far as that is known, and under which licence; see "
        f"[{LICENCES_NAME}]({LICENCES_NAME}). Splits are drawn by clusters of near duplicates.",
    ]
    return "\n".join(lines) + "\n"


def _config(name: str, counts: Mapping[str, int]) -> Iterable[str]:
    yield f"- config_name: {name}"
    yield "  data_files:"
    for split in _there(counts):
        yield f"  - split: {split}"
        yield f"    path: {name}/{split}-*.parquet"


def _about(source: Source, counts: Mapping[str, int]) -> Iterable[str]:
    yield from ("", f"## {source.name}", "", f"A row is {source.about}.", "")
    yield from ("| split | rows |", "|---|---|")
    yield from (f"| {split} | {counts[split]:,} |" for split in _there(counts))
    yield from ("", "Columns: " + ", ".join(f"`{name}`" for name in source.columns) + ".", "")
    yield from ("    import datasets", f'    dataset = datasets.load_dataset("THIS FOLDER", "{source.name}")')


def _there(counts: Mapping[str, int]) -> list[str]:
    return [split for split in SPLITS if counts.get(split)]


def licences_text(licences: Mapping[str, Mapping[str, int]]) -> str:
    """The text of `LICENCES.md`: how many rows stand under each licence.

    Args:
        licences: of each configuration, rows under each licence; a configuration whose rows name none has none.
    """
    names = [name for name, counts in licences.items() if counts]
    found = sorted({licence for counts in licences.values() for licence in counts})
    lines = [
        "# Licences",
        "",
        "This collection has no licence of its own: the terms of each work hold, and its row names them in `licence`, "
        'with the author and the address in the columns beside. "unknown" means that nothing was found, which never '
        "counts as permitted.",
        "",
        "Pictures are listed by licence and author in `ATTRIBUTION` beside the tables. Windows name the documents they "
        "were cut from in `documents`.",
        "",
        f"| licence | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
        *(
            f"| {licence} | {' | '.join(f'{licences[name].get(licence, 0):,}' for name in names)} |"
            for licence in found
        ),
    ]
    return "\n".join(lines if names else lines[:-2]) + "\n"


def _row(licence: str, counts: Iterable[int]) -> str:
    return f"| {licence.replace('|', '/')} | {' | '.join(f'{count:,}' for count in counts)} |"
