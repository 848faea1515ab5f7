"""Recipes: what is accepted, what is refused and in which words, and what makes a stage out of date."""

import json
import time
from pathlib import Path

import pytest

from pipelines.errors import RecipeError, TombstoneError
from pipelines.load_recipe import bundled_recipes, check_recipe, load_recipe
from pipelines.stages import STAGE_LIST, STAGES, fingerprint, inputs_of
from pipelines.tombstones import Tombstones, read_tombstones

MINIMAL = """
name: trees
contact: gardener@example.org
crawl: {sources: {walk: {source: site, seeds: ["https://example.org/"]}}}
images: {}
text: {}
triplets: {}
windows: {}
"""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "trees.yaml"
    path.write_text(MINIMAL)
    return path


def test_a_minimal_recipe_has_working_defaults(recipe_file: Path):
    recipe = load_recipe(recipe_file)
    assert recipe.stages() == ("crawl", "images", "text", "triplets", "windows")
    assert recipe.images is not None
    assert (recipe.images.size, recipe.crawl.delay_s, recipe.crawl.snapshot) == (64, 1.0, "first")


def test_a_section_left_out_leaves_its_stage_out(recipe_file: Path):
    assert load_recipe(recipe_file, ["images=null", "triplets=null"]).stages() == ("crawl", "text", "windows")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("images.sise=3", "images.sise: unknown key; did you mean 'size'? it may be one of: size, resize"),
        ("imges={}", "imges: unknown key; did you mean 'images'?"),
        ("images.size=0", "images.size: 0 will not do: should be greater than or equal to 8"),
        ("images=64", "images: 64 will not do: should be a section, as in images: {}"),
        ("images.size=big", "images.size: 'big' will not do: should be a valid integer"),
        (
            "images.resize=fit",
            "images.resize fit gives pictures that are not square: triplets need centre_crop, pad or fill",
        ),
        ("images.licences=[]", "images.licences: [] will not do: should be any, known, or a list of licences such as"),
        ("images.licences=CC-BY-4.0", "images.licences: 'CC-BY-4.0' will not do: should be any, known, or a list"),
        ("images.licences=[CC-BY-4]", "'CC-BY-4' is no licence that pictures are known by; those are such as [CC0-1.0"),
        ("images.licences=[cc0, unknown]", "'unknown' is no licence that pictures are known by"),
        ("images.licences=[CC BY 9.9]", "'CC BY 9.9' is no licence that pictures are known by"),
        ("images.min_side=32", "images: min_side is 32 and size 64; pictures are never enlarged unless upscale is on"),
        ("triplets.steps=0", "triplets.steps: 0 will not do"),
        ("triplets.seed=-1", "triplets.seed: -1 will not do"),
        ("triplets.schedule=linear", "triplets.schedule: 'linear' will not do: should be 'interpolate', 'add'"),
        ("split.val=0.5", "split: train + val + test is 1.45: make them add up to 1"),
        ("windows.stride=65", "windows: stride 65 is above context 64 and skips tokens: give at most 64"),
        ("images=null", "triplets are made from images: add a section 'images: {}'"),
        ("contact=nobody", "contact: 'nobody' will not do: give a web page"),
        ("contact=null", "contact: None will not do"),
        ("name=a/b", "name: 'a/b' will not do"),
        ("crawl.sources.walk.seeds=[]", "crawl.sources.walk: source 'site' needs at least one address under seeds"),
        ("crawl.sources={}", "crawl.sources: no source is named; write one as in walk"),
        ("crawl.sources.walk.source=gopher", "crawl.sources.walk.source: 'gopher' is no kind of source; it may be one"),
        ("crawl.sources.walk.max_dept=3", "crawl.sources.walk.max_dept: unknown key; did you mean 'max_depth'?"),
        ("crawl.sources.walk.max_depth=-1", "crawl.sources.walk.max_depth: -1 will not do"),
        ("crawl.sources.list={source: urls}", "crawl.sources.list.files: missing; source 'urls' needs it"),
        ("crawl.sources={'a/b': {source: folder, path: x}}", "crawl.sources: source 'a/b': name it with up to 32"),
        ("crawl.sources.walk.hosts=['https://e.org/']", "crawl.sources.walk.hosts.0: 'https://e.org/' will not do"),
        ("crawl.allow_hosts=['e.org:8080']", "'e.org:8080' is no host; write it as trees.example, without https://"),
        ("crawl.sources.cc={source: commoncrawl, urls: [e.org], data: x}", "'x' is not an address to fetch"),
        ("crawl.sources.cc={source: commoncrawl, urls: [e.org], data: 'http://e.org/x'}", "give it a slash at its end"),
        ("crawl.sources.wm={source: wikimedia, categories: [Oaks], api: x}", "'x' is not an address to fetch"),
        ("crawl.delay_s=-1", "crawl.delay_s: -1 will not do"),
        (
            "text.gopher_quality.min_words=200000",
            "text.gopher_quality: min_words is 200000 and max_words 100000; want 0 ≤ min",
        ),
    ],
)
def test_an_impossible_value_is_named_with_its_place_and_what_would_do(recipe_file: Path, override: str, message: str):
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe_file, [override])
    assert str(error.value).startswith(f"{recipe_file}: ")
    assert message in str(error.value)


def test_licences_are_known_by_their_identifier_however_a_recipe_spells_them(recipe_file: Path):
    spelt = "images.licences=[CC BY 4.0, cc-by-sa-3.0, CC0, 'CC-BY-3.0-DE', lal-1.3, Public domain, CC-BY-4.0]"
    recipe = load_recipe(recipe_file, [spelt])
    assert recipe.images
    known = ("CC-BY-4.0", "CC-BY-SA-3.0", "CC0-1.0", "CC-BY-3.0-DE", "LAL-1.3", "LicenseRef-public-domain")
    assert recipe.images.licences == known


def test_every_problem_gets_its_line(recipe_file: Path):
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe_file, ["images.size=0", "windows.context=0", "crawl.colour=green"])
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crawl: [", "not YAML"),
        ("just words", "a recipe is a YAML mapping"),
        ("crawl: {sources: {walk: {source: site, seeds: [https://example.org/]}}}", "name: missing"),
        (MINIMAL + "images: {size: 32}", "not YAML: 'images' stands twice in .* line 9"),
        ("[" * 5000, "not YAML: maximum recursion depth"),
        (MINIMAL + "published: 2026-13-01", "not YAML: '2026-13-01' is no timestamp in .* line 9"),
        (MINIMAL + "buckets: !!int ''", "not YAML: '' is no int in .* line 9"),
        (MINIMAL + "exif: !!bool foo", "not YAML: 'foo' is no bool in .* line 9"),
        (MINIMAL + "published: !!timestamp foo", "not YAML: 'foo' is no timestamp in .* line 9"),
        (MINIMAL + "contact: a@b\x01", "not YAML: unacceptable character #x0001"),
        (
            MINIMAL + "split: {train: " + "9" * 5000 + "}",
            "not YAML: a number of 5000 characters; at most 100 may be in .* line 9",
        ),
        ("name: &a [*a]", "not YAML: it stands for more than 100000 values"),
        ("x" * (2**20 + 1), "not YAML: 1048577 characters; at most 1048576 may be"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


@pytest.mark.parametrize(
    ("first", "ten"),
    [("[lol]", "[{}]"), ("{lol: 1}", "{{<<: [{}]}}")],
    ids=["aliases", "merged"],
)
def test_a_few_lines_that_stand_for_a_thousand_million_values_are_refused_at_once(
    recipe_file: Path, first: str, ten: str
):
    lines = [f"l0: &l0 {first}"]
    for level in range(1, 20):
        lines.append(f"l{level}: &l{level} " + ten.format(", ".join([f"*l{level - 1}"] * 10)))
    recipe_file.write_text("\n".join([*lines, "name: *l19"]))
    began = time.process_time()
    with pytest.raises(RecipeError, match="it stands for more than 100000 values") as error:
        load_recipe(recipe_file)
    assert len(str(error.value)) < 500
    assert time.process_time() - began < 2


def test_what_a_message_shows_of_values_and_problems_is_bounded(recipe_file: Path):
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe_file, [f"name={'x' * 100_000}", f"crawl.allow_ports=[{'0,' * 5_000}0]"])
    lines = str(error.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == f"{recipe_file}: and 4982 more"
    assert max(map(len, lines)) < 500


def test_hosts_are_known_as_urls_name_them(recipe_file: Path):
    recipe = load_recipe(
        recipe_file, ["crawl.allow_hosts=[Bäume.Example, '::1']", "crawl.connect_to={A.b: '127.0.0.1:1'}"]
    )
    assert recipe.crawl.allow_hosts == ["xn--bume-loa.example", "::1"]
    assert recipe.crawl.connect_to == {"a.b": "127.0.0.1:1"}


def test_a_missing_file_names_the_bundled_recipes(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"nowhere\.yaml: cannot be read.*one of: demo, fineweb-like"):
        load_recipe(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("override", ["images.size", "=3", "images..size=3", "name.first=a", "images.size=[1"])
def test_an_override_that_is_none_is_refused(recipe_file: Path, override: str):
    with pytest.raises(RecipeError, match="--set"):
        load_recipe(recipe_file, [override])


def test_every_bundled_recipe_is_valid_once_it_knows_whom_to_contact():
    for name in bundled_recipes():
        overrides = ["contact=gardener@example.org"]
        if name == "site":
            overrides.append('crawl.sources.site.seeds=["https://example.org/"]')
        assert load_recipe(name, overrides).name == name


@pytest.mark.parametrize("name", ["site", "wikimedia-trees"])
def test_no_bundled_recipe_asks_a_site_without_a_contact(name: str):
    with pytest.raises(RecipeError, match="contact: '' will not do"):
        load_recipe(name)


def _fingerprints(overrides: list[str], recipe_file: Path, tombstones: Tombstones | None = None) -> dict[str, str]:
    """Fingerprints of all stages, each input's manifest hash stood in for by its fingerprint."""
    recipe = load_recipe(recipe_file, overrides)
    found: dict[str, str] = {}
    for stage in STAGE_LIST:
        if stage.name not in recipe.stages():
            continue
        inputs = {name: found[name] for name in inputs_of(stage.name, recipe)}
        found[stage.name] = fingerprint(
            stage, recipe.stage_configuration(stage.name), inputs, tombstones or Tombstones()
        )
    return found


@pytest.mark.parametrize(
    ("override", "stale"),
    [
        ("crawl.delay_s=5", set()),
        ("crawl.allow_hosts=[localhost]", set(STAGES)),
        ("crawl.connect_to={example.org: '127.0.0.1:8000'}", set()),
        ("contact=other@example.org", set()),
        ("crawl.snapshot=second", set(STAGES)),
        ("images.size=32", {"images", "score", "triplets"}),
        ("score.min_score=0.7", {"score", "triplets"}),
        ("triplets.steps=6", {"triplets"}),
        ("text.gopher_quality.min_words=10", {"text", "windows"}),
        ("windows.context=32", {"windows"}),
        ("split={train: 0.8, val: 0.1, test: 0.1}", {"images", "score", "text", "triplets", "windows"}),
    ],
)
def test_a_changed_value_makes_out_of_date_only_what_depends_on_it(recipe_file: Path, override: str, stale: set[str]):
    scored = "score={topic: drawn-tree}"
    before, after = _fingerprints([scored], recipe_file), _fingerprints([scored, override], recipe_file)
    assert {stage for stage in STAGES if before[stage] != after[stage]} == stale


def test_a_tombstone_makes_everything_out_of_date(recipe_file: Path, tmp_path: Path):
    (tmp_path / "tombstones.jsonl").write_text('{"url": "https://example.org/a"}\n')
    before, after = _fingerprints([], recipe_file), _fingerprints([], recipe_file, read_tombstones(tmp_path))
    assert all(before[stage] != after[stage] for stage in before)


def test_tombstones_cover_urls_hosts_and_contents(tmp_path: Path):
    lines = ['{"url": "https://a.example/x"}', '{"host": "b.example"}', '{"sha256": "' + "0" * 64 + '"}']
    (tmp_path / "tombstones.jsonl").write_text("\n".join(lines))
    tombstones = read_tombstones(tmp_path)
    assert tombstones.cover("https://a.example/x")
    assert not tombstones.cover("https://a.example/y")
    assert tombstones.cover("http://b.example/anything")
    assert tombstones.cover("https://c.example/", "0" * 64)


@pytest.mark.parametrize(
    ("line", "url", "sha256"),
    [
        ({"url": "HTTPS://Example.org:443/a b#top"}, "https://example.org/a%20b", ""),
        ({"url": "https://example.org"}, "https://example.org/", ""),
        ({"host": "Example.ORG"}, "https://example.org/any", ""),
        ({"host": "www.example.org."}, "http://www.example.org:8080/any", ""),
        ({"sha256": "AB" * 32}, "https://other.example/", "ab" * 32),
    ],
)
def test_every_spelling_of_an_address_forgets_the_same(tmp_path: Path, line: dict[str, str], url: str, sha256: str):
    (tmp_path / "tombstones.jsonl").write_text(json.dumps(line))
    assert read_tombstones(tmp_path).cover(url, sha256)


@pytest.mark.parametrize("line", ['{"url": "oak"}', '{"host": "a/b"}', '{"host": ""}', '{"sha256": "12"}'])
def test_a_tombstone_that_cannot_be_meant_is_refused(tmp_path: Path, line: str):
    (tmp_path / "tombstones.jsonl").write_text(line)
    with pytest.raises(TombstoneError, match="is no "):
        read_tombstones(tmp_path)


@pytest.mark.parametrize("line", ["oak", '{"path": "x"}', '{"url": 3}', '{"url": "a", "host": "b"}', "[]"])
def test_a_damaged_tombstone_stops_the_build(tmp_path: Path, line: str):
    (tmp_path / "tombstones.jsonl").write_text('{"host": "b.example"}\n' + line + "\n")
    with pytest.raises(TombstoneError, match=r"tombstones\.jsonl:2: "):
        read_tombstones(tmp_path)


def test_a_recipe_can_be_checked_without_a_file():
    crawl = {"sources": {"walk": {"source": "folder", "path": "."}}}
    with pytest.raises(RecipeError, match="here: name: missing"):
        check_recipe({"contact": "a@example.org", "crawl": crawl}, "here")
