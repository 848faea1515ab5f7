"""Pages of prose about trees, written by a grammar of templates and facts.

A page has a kind (a portrait, a year, the story of one tree, its gifts, how to grow it); a kind is a plan of
paragraphs, a paragraph a list of sections, and a section a pool of sentence templates of which no page uses one twice.
What a page has settled (its species, place, people, season) stays settled to its end.

In a template, `{slot}` is filled, `{a slot}` with its article, `[one|other]` is a choice, and leading `?trait` marks
keep it for species that have the trait.
"""

import random
import re
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Final

KINDS: Final = ("portrait", "year", "story", "gifts", "growing")

# For each kind: paragraphs of (section, number of sentences).
_PLANS: Final[dict[str, tuple[tuple[tuple[str, int], ...], ...]]] = {
    "portrait": (
        (("portrait.open", 1), ("portrait.home", 1), ("portrait.shape", 4)),
        (("leaf.open", 1), ("leaf", 2), ("leaf.more", 2)),
        (("bark.open", 1), ("bark", 2)),
        (("flower.open", 1), ("flower", 2), ("fruit.open", 1), ("fruit", 2)),
        (("wood.open", 1), ("wood", 2), ("wood.uses", 2)),
        (("guests.open", 1), ("guests", 2), ("guests.more", 3)),
        (("lore.open", 1), ("lore", 2), ("portrait.end", 2)),
    ),
    "year": (
        (("year.open", 1), ("portrait.shape", 1)),
        (("year.spring", 5), ("flower", 1), ("year.spring", 2)),
        (("year.summer", 4), ("guests", 1), ("year.summer", 3)),
        (("year.autumn", 4), ("fruit", 1), ("year.autumn", 3)),
        (("year.winter", 4), ("bark", 1), ("year.winter", 3)),
        (("year.end", 2),),
    ),
    "story": (
        (("story.open", 1), ("story.young", 5)),
        (("story.grown", 3), ("lore", 1), ("story.grown", 3)),
        (("story.trouble", 2), ("story.turn", 1), ("story.rescue", 5)),
        (("story.now", 3), ("guests", 2), ("story.now", 3)),
        (("leaf", 1), ("fruit", 1), ("story.end", 2)),
    ),
    "gifts": (
        (("gifts.open", 1), ("wood.open", 1), ("wood", 2)),
        (("wood.uses", 3), ("gifts.craft", 4)),
        (("gifts.craft", 4), ("lore", 1), ("wood.uses", 1)),
        (("gifts.other", 1), ("gifts.more", 7)),
        (("fruit.open", 1), ("fruit", 2), ("guests.open", 1), ("guests", 1), ("guests.more", 1)),
        (("gifts.end", 3),),
    ),
    "growing": (
        (("growing.open", 1), ("portrait.home", 1), ("portrait.shape", 1)),
        (("growing.seed", 5),),
        (("growing.site", 5),),
        (("growing.plant", 7),),
        (("growing.care", 7), ("bark", 1)),
        (("growing.wait", 4), ("leaf", 1)),
        (("growing.end", 2),),
    ),
}
_TITLES: Final = {
    "portrait": "The {full}",
    "year": "A year with the {full}",
    "story": "The {name} beside {place}",
    "gifts": "What the {name} gives",
    "growing": "How to grow {a name}",
}
_SEASONS: Final = ("spring", "summer", "autumn", "winter")
_SETTLED: Final = ("place", "year", "role")  # chosen once a page
_IN_ORDER: Final = ("growing.seed", "growing.plant", "growing.care", "growing.wait")  # steps, one after another
_SLOT: Final = re.compile(r"\{(a )?(\w+)\}")
_CHOICE: Final = re.compile(r"\[([^\[\]]*)\]")

Pools = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Prose:
    """A written page: its title and its paragraphs."""

    title: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one species: traits, slot values, and whole sentences by section."""

    traits: frozenset[str]
    slots: Pools
    sections: Pools


def write_page(seed: int, slug: str, kind: str) -> Prose:
    """The page of a kind (one of `KINDS`) about a species; the same arguments give the same words."""
    writer = _Writer(read_facts()[slug], random.Random(f"{seed}/{slug}/{kind}"))
    title = writer.fill(_TITLES[kind])
    paragraphs = []
    for plan in _PLANS[kind]:
        sentences = [sentence for section, count in plan for sentence in writer.write(section, count)]
        paragraphs.append(" ".join(sentences))
    return Prose(title, tuple(paragraphs))


def slot(slug: str, name: str) -> str:
    """The first value of a species' slot: `slot("english-oak", "plural")` is "oaks"."""
    return read_facts()[slug].slots[name][0]


@lru_cache
def read_facts() -> dict[str, Facts]:
    """The facts of every species, by slug."""
    facts = {}
    for block in _read("species.txt").split("== ")[1:]:
        slug, _, rest = block.partition("\n")
        head, _, body = rest.partition("# ")
        slots: Pools = {}
        for line in head.splitlines():
            name, _, values = line.partition(": ")
            slots[name] = tuple(values.split(" | "))
        traits = frozenset(slots.pop("traits")[0].split())
        facts[slug] = Facts(traits, slots, _parse_sections("# " + body))
    return facts


@lru_cache
def read_sections() -> Pools:
    """The sentence templates that serve every species, by section."""
    return _parse_sections(_read("pages.txt"))


@lru_cache
def read_words() -> Pools:
    """Words and phrases that belong to no species, by slot or by slot and season."""
    return _parse_sections(_read("words.txt"))


def _read(name: str) -> str:
    return resources.files("crawl.demo").joinpath("grammar", name).read_text("utf-8")


def _parse_sections(text: str) -> Pools:
    """Lines under `# heading` lines, by heading."""
    pools: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("# "):
            lines = pools.setdefault(line[2:], [])
        elif line:
            lines.append(line)
    return {heading: tuple(lines) for heading, lines in pools.items()}


def _with_article(words: str) -> str:
    """The words behind their indefinite article.

    >>> _with_article("old oak"), _with_article("European beech")
    ('an old oak', 'a European beech')
    """
    vowel = words[0].lower() in "aeiou" and not words.startswith("Eu")
    return ("an " if vowel else "a ") + words


@dataclass(slots=True)
class _Person:
    """Someone on the page: named in full when first met, by the first name later."""

    name: str
    woman: bool
    met: bool = False

    def mention(self, form: str) -> str:
        """The person as "name", "she", "her" (whose), "him" (whom) or "herself"."""
        if form == "name" or not self.met:
            words = self.name if not self.met else self.name.split()[0]
            self.met = True
            return words + ("'s" if form == "her" else "")
        pronouns = {"she": "he", "her": "his", "him": "him", "herself": "himself"}
        if not self.woman:
            return pronouns[form]
        return "her" if form == "him" else form


@dataclass(slots=True)
class _Writer:
    """The state of one page: what it has settled, and what it has already said."""

    facts: Facts
    rng: random.Random
    season: str = ""
    settled: dict[str, str] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    people: list[_Person] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.season = self.rng.choice(_SEASONS)
        for _ in range(2):
            woman = self.rng.random() < 0.5
            name = self._pick("woman" if woman else "man", read_words()["woman" if woman else "man"])
            self.people.append(_Person(name, woman))

    def write(self, section: str, count: int) -> list[str]:
        """`count` sentences of a section, fewer where its pool runs dry."""
        if section.startswith("year.") and section[5:] in _SEASONS:
            self.season = section[5:]
        pool = self.facts.sections.get(section) or read_sections()[section]
        fitting = [line for line in pool if line not in self.said and self._fits(line)]
        chosen = self.rng.sample(fitting, min(count, len(fitting)))
        if section in _IN_ORDER:
            chosen.sort(key=fitting.index)
        self.said.update(chosen)
        return [_capitalise(self.fill(re.sub(r"^(\?\w+ )+", "", line))) for line in chosen]

    def fill(self, template: str) -> str:
        """The template with every choice made and every slot filled."""
        chosen = _CHOICE.sub(lambda match: self.rng.choice(match[1].split("|")), template)
        return _SLOT.sub(lambda match: self._value(match[2], article=bool(match[1])), chosen)

    def _fits(self, line: str) -> bool:
        return set(re.findall(r"\?(\w+) ", line)) <= self.facts.traits

    def _value(self, name: str, *, article: bool) -> str:
        forms = {"keeper": "name", "first": "name", "she": "she", "her": "her", "herself": "herself"}
        others = {"keeper2": "name", "first2": "name", "he": "she", "his": "her", "him": "him"}
        if name in forms:
            return self.people[0].mention(forms[name])
        if name in others:
            return self.people[1].mention(others[name])
        if name == "season":
            return self.season
        words = self.settled.get(name) or self._pick(name, self._pool(name))
        if name in _SETTLED:
            self.settled[name] = words
        return _with_article(words) if article else words

    def _pool(self, name: str) -> tuple[str, ...]:
        if name in self.facts.slots:
            return self.facts.slots[name]
        words = read_words()
        return words.get(name) or words[f"{name}.{self.season}"]

    def _pick(self, name: str, pool: tuple[str, ...]) -> str:
        """One of the pool, and not one that was picked before while there are others."""
        fresh = [words for words in pool if f"{name}={words}" not in self.said] or list(pool)
        words = fresh[0] if name == "month" else self.rng.choice(fresh)  # months come in their order
        self.said.add(f"{name}={words}")
        return words


def _capitalise(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
