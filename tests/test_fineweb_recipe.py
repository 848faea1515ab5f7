"""The bundled recipe `fineweb-like` keeps English prose, once, and turns away what FineWeb turns away."""

import json
import random
from collections import Counter
from pathlib import Path

from rich.console import Console

from pipelines.build import build
from pipelines.load_recipe import load_recipe
from shards.manifest import Counts
from tests.builds import manifest_of, table_rows
from tests.loopback import folder, serve

ADJECTIVES = ("old", "young", "green", "quiet", "crooked", "hollow", "mighty", "slender", "silver", "wild", "broad")
NOUNS = ("oak", "beech", "meadow", "river", "squirrel", "orchard", "valley", "branch", "acorn", "jay", "mill", "wall")
VERBS = ("shelters", "watches", "outlives", "surrounds", "remembers", "feeds", "follows", "hides")
FRENCH = (
    "Le vieux chêne se dresse au bord du chemin depuis plus de trois cents ans. Les enfants du village viennent jouer "
    "sous ses branches pendant l'été. En automne, les écureuils cherchent des glands dans les feuilles mortes et les "
    "cachent pour l'hiver. Le garde forestier raconte que son grand-père s'y reposait déjà. Quand le vent souffle très "
    "fort, on entend le bois qui craque dans la nuit. Personne ne voudrait que cet arbre soit abattu un jour."
)


def prose(seed: int) -> str:
    draw = random.Random(seed)

    def thing() -> str:
        return f"the {draw.choice(ADJECTIVES)} {draw.choice(NOUNS)}"

    return " ".join(
        f"{thing().capitalize()} {draw.choice(VERBS)} {thing()} and {draw.choice(VERBS)} {thing()}." for _ in range(20)
    )


def test_it_keeps_english_prose_once(tmp_path: Path) -> None:
    texts = {
        "one": prose(1),
        "two": prose(2),
        "like-one": prose(1).replace("meadow", "meadows", 1),
        "french": FRENCH,
        "code": prose(3) + " while (oak) { grow(); }",
        "short": "The old oak is here.",
    }
    site_folder = tmp_path / "site"
    site_folder.mkdir()
    (site_folder / "index.html").write_text("".join(f"<a href={name}.html>{name}</a> " for name in texts))
    for name, text in texts.items():
        page = f"<!DOCTYPE html><meta charset=utf-8><title>{name}</title><article><p>{text}</p></article>"
        (site_folder / f"{name}.html").write_text(page, "utf-8")
    with serve(folder(site_folder)) as site:
        host = "oaks.example"
        source = {"source": "site", "seeds": [f"http://{host}/index.html"]}
        manners = {"allow_hosts": [host], "connect_to": {host: f"127.0.0.1:{site.port}"}, "delay_s": 0}
        crawl = {"sources": {"site": source}, **manners}
        recipe = load_recipe("fineweb-like", ["contact=https://seedbed.example/about", f"crawl={json.dumps(crawl)}"])
        build(recipe, tmp_path / "out", ("crawl", "text"), 1, Console(quiet=True))
    kept = {row["title"]: row["language"] for row in table_rows(tmp_path / "out", "text", "documents-")}
    away = {row["key"].rpartition("/")[2]: row["reason"] for row in table_rows(tmp_path / "out", "text", "rejects-")}
    twin = ({"one", "like-one"} - kept.keys()).pop()
    assert kept == dict.fromkeys({"one", "like-one", "two"} - {twin}, "en")
    assert away == {
        "index.html": "too_few_words",
        "short.html": "too_few_words",
        "french.html": "other_language",
        "code.html": "curly_bracket",
        f"{twin}.html": "near_duplicate",
    }
    assert manifest_of(tmp_path / "out", "text").counts == Counts(7, 2, dict(Counter(away.values())), {})
