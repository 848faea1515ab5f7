"""Cleaning prose beside datatrove: what a page costs at the margin, with all processes that a tool starts."""

import sys
from pathlib import Path

from rich.console import Console

from tests.bench.harness import ROOT
from tests.bench.peers import PeersError, make_environment
from tests.bench.photographs import MissingError
from tests.bench.prose_material import make_prose
from tests.bench.whole_runs import Cost, Ratio, cost_of, margins, print_ratios, ratio

TITLE = "Cleaning prose beside datatrove, CPU a page at the margin, median of pairs"
DATATROVE = (
    "datatrove[processing]==0.10.1",
    "spacy==3.8.18",
    "python-magic",
    "faust-cchardet",
    "orjson",
    "warcio",
    "py3langid==0.4.0",
)
FEW, MANY = 1, 3
"""Passes over the pages in a short and in a long run."""

LEAST = {"mixed": 5.0, "articles": 1.5, "rules": 10.0}
"""How many times cheaper ours must be."""


def measure_prose(folder: Path, rounds: int, console: Console) -> list[Ratio]:
    """Runs everything; an empty list, with a message, where it cannot be run here."""
    data = folder / "prose"
    try:
        make_prose(ROOT.parent / "shared" / "data", data)
        console.print("installing datatrove in an environment of its own …")
        peer = make_environment(folder / "datatrove", DATATROVE)
    except (MissingError, PeersError) as error:
        console.print(f"prose is left out: {error}")
        return []
    return [_measure(name, data, peer, rounds, console) for name in LEAST]


def _measure(name: str, data: Path, peer: str, rounds: int, console: Console) -> Ratio:
    tools = {"ours": (sys.executable, "tests.bench.prose"), "peer": (peer, "tests.bench.peer_prose")}
    runs: dict[tuple[str, int], list[Cost]] = {(tool, passes): [] for tool in tools for passes in (FEW, MANY)}
    for number in range(rounds):
        console.print(f"cleaning prose, {name}, round {number + 1} …")
        for (tool, passes), costs in runs.items():
            python, module = tools[tool]
            costs.append(cost_of([python, "-W", "ignore", "-m", module, name, str(data), str(passes)]))
    own, other = (margins(runs[tool, FEW], runs[tool, MANY]) for tool in tools)
    num_pages = int((data / f"{name}.count").read_text())
    return ratio(f"{name}, {num_pages} pages", own, other, num_pages * (MANY - FEW), LEAST[name])


if __name__ == "__main__":
    shown = Console(highlight=False, width=132)
    found = measure_prose(ROOT / "build" / "bench", int(sys.argv[1]) if len(sys.argv) > 1 else 3, shown)
    print_ratios(TITLE, "datatrove", found, shown)
