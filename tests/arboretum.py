"""The arboretum, served and built, for the tests of what comes after."""

import json

from rich.console import Console

from crawl.demo.server import DemoServer
from pipelines.build import build
from pipelines.load_recipe import load_recipe
from pipelines.stages import STAGES
from shards.object_path import AnyPath


def overrides(server: DemoServer) -> list[str]:
    """What makes the demo's recipe find the running server."""
    return [f"crawl.connect_to={json.dumps(server.connect_to)}"]


def run(
    server: DemoServer, out: AnyPath, *more: str, stages: tuple[str, ...] = tuple(STAGES), workers: int = 1
) -> None:
    """Builds the demo's recipe with more overrides."""
    build(load_recipe("demo", [*overrides(server), *more]), out, stages, workers, Console(quiet=True))


def arguments(server: DemoServer, command: str, out: AnyPath, *more: str, workers: int = 1) -> list[str]:
    """The same build as a command line."""
    settings = [part for override in (*overrides(server), *more) for part in ("--set", override)]
    return [command, "demo", "--out", str(out), "--workers", str(workers), *settings]
