from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawl.text_rules import C4, FineWeb, GopherQuality, GopherRepetition, RuleSettings, judge_text
from crawl.text_rules.gopher_repetition import count_duplicate_characters, repeated_n_grams
from crawl.text_rules.sentences import count_sentence_ends
from crawl.text_settings import TextSettings
from crawl.verdict import Verdict

NO_RULES = RuleSettings(min_sentences=0, gopher_quality=None, gopher_repetition=None)
QUALITY = replace(NO_RULES, gopher_quality=GopherQuality())
REPETITION = replace(NO_RULES, gopher_repetition=GopherRepetition())
PAPER = replace(NO_RULES, c4=C4.paper())
COMMON = replace(NO_RULES, c4=C4.common())
FINEWEB = replace(NO_RULES, fineweb=FineWeb())


def rejected(reason: str, detail: str) -> Verdict:
    return Verdict("rejected", reason, detail)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tree " * 50, None),
        ("tree " * 49, rejected("too_few_words", "49 < 50")),
        ("tree " * 49 + "- | - |", rejected("too_few_words", "49 < 50")),
        ("tree " * 100_000, None),
        ("tree " * 100_001, rejected("too_many_words", "1e+05 > 100000")),
        ("as " * 30 + "oaks " * 30, None),
        ("as " * 30 + "ash " * 30, rejected("words_too_short", "2.5 < 3")),
        ("hornbeams! " * 60, None),
        ("木は庭に立ち、秋に実を落とす。\n" * 60, rejected("words_too_long", "15 > 10")),  # no blanks between words
        ("hornbeams!! " * 60, rejected("words_too_long", "11 > 10")),
        ("tree " * 80 + "1800 " * 20, None),
        ("tree " * 79 + "1800 " * 21, rejected("too_few_alphabetic_words", "0.79 < 0.8")),
        ("tree " * 90 + "#tree " * 10, None),
        ("tree " * 89 + "#tree " * 11, rejected("too_many_symbols", "0.11 > 0.1")),
        ("tree… " * 5 + "tree... " * 5 + "tree " * 90, None),
        ("tree " * 89 + "tree… " * 6 + "tree... " * 5, rejected("too_many_symbols", "0.11 > 0.1")),
        ("\n".join(["- stately oak tree"] * 18 + ["stately old oak tree"] * 2), None),
        ("\n".join(["• stately oak tree"] * 19 + ["stately old oak tree"]), rejected("mostly_bullets", "0.95 > 0.9")),
        ("\n".join(["the ash and the old elm tree..."] * 3 + ["the ash and the old elm tree"] * 7), None),
        (
            "\n".join(["the ash and the old elm tree…"] * 4 + ["the ash and the old elm tree"] * 6),
            rejected("mostly_ellipses", "0.4 > 0.3"),
        ),
    ],
)
def test_gopher_quality_speaks_at_each_threshold(text: str, expected: Verdict | None) -> None:
    assert judge_text(text, "unknown", QUALITY) == (expected or text)


@pytest.mark.parametrize(
    ("words", "language", "expected"),
    [
        ("the oak and", "en", None),
        ("The oak AND", "en-gb", None),
        ("the oak or", "en", rejected("too_few_stop_words", "1 < 2")),
        ("der Baum und", "de", None),
        ("der Baum und", "unknown", None),
    ],
)
def test_stop_words_are_asked_of_languages_that_have_a_list(words: str, language: str, expected: Any) -> None:
    text = words + " tree" * 60
    assert judge_text(text, language, QUALITY) == (expected or text)


def numbered(count: int, distinct: int, line: str = "{} oaks stand on the hill number {}") -> list[str]:
    return [line.format(n % distinct, n % distinct + 1000) for n in range(count)]


def differing(num_words: int, first: int = 0) -> str:
    return " ".join(f"w{n:04}" for n in range(first, first + num_words))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n".join(differing(20, 20 * n) for n in range(10)), None),
        # 10 lines of 119 characters, 3 or 4 of them again; fractions of lines and of characters
        (
            "\n".join([*(["w"] * 4), *(differing(20, 20 * n) for n in range(6))]),
            None,
        ),
        (
            "\n".join([*(["w"] * 5), *(differing(20, 20 * n) for n in range(6))]),
            rejected("duplicate_lines", "0.3636 > 0.3"),
        ),
        (
            "\n".join([differing(20), *(differing(20, 20 * n) for n in range(4))]),
            None,
        ),
        (
            "\n".join([differing(20), *(differing(20, 20 * n) for n in range(3))]),
            rejected("duplicate_line_characters", "0.2484 > 0.2"),
        ),
        (
            "\n\n".join(["a\nb", "a\nc", "a\nb", *(differing(20, 20 * n) for n in range(9))]),
            None,
        ),
    ],
)
def test_gopher_counts_lines_that_stood_before(text: str, expected: Verdict | None) -> None:
    most = dict.fromkeys((f"duplicate_{n}_gram_character_fraction" for n in range(5, 11)), 1.0)
    settings = replace(NO_RULES, gopher_repetition=GopherRepetition(**most))
    assert judge_text(text, "en", settings) == (expected or text)


@pytest.mark.parametrize(
    ("copies", "of", "reason"),
    [(4, 13, None), (5, 13, "duplicate_paragraphs")],
)
def test_gopher_counts_paragraphs_that_stood_before(copies: int, of: int, reason: str | None) -> None:
    short = ["one\ntwo"] * copies
    long = [f"{differing(20, 40 * n)}\n{differing(20, 40 * n + 20)}" for n in range(of - copies)]
    verdict = judge_text("\n\n".join(short + long), "en", replace(REPETITION, gopher_repetition=GopherRepetition(1.0)))
    assert (verdict.reason if isinstance(verdict, Verdict) else None) == reason


@pytest.mark.parametrize(("n", "most"), [(2, 0.20), (3, 0.18), (4, 0.16)])
def test_gopher_measures_the_most_frequent_n_gram(n: int, most: float) -> None:
    phrase = " ".join(f"p{k}" for k in range(n))

    def judged(times: int, num_others: int) -> tuple[float, str | Verdict]:
        others = differing(num_others).split()
        step = len(others) // times
        pieces = [" ".join([phrase, *others[k * step : (k + 1) * step]]) for k in range(times)]
        text = " ".join([*pieces, *others[times * step :]])
        return times * len(phrase) / len(text), judge_text(text, "en", REPETITION)

    below, passed = next(found for found in (judged(9, count) for count in range(9, 200)) if found[0] <= most)
    assert below > most - 0.02
    assert isinstance(passed, str)
    above, verdict = [found for found in (judged(9, count) for count in range(9, 200)) if found[0] > most][-1]
    assert verdict == rejected(f"top_{n}_gram", f"{above:.4g} > {most:g}")


@pytest.mark.parametrize(("n", "most"), [(5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)])
def test_gopher_measures_passages_that_come_again(n: int, most: float) -> None:
    passage = differing(n)
    settings = replace(
        NO_RULES, gopher_repetition=GopherRepetition(**{f"top_{k}_gram_character_fraction": 1.0 for k in (2, 3, 4)})
    )

    def judged(num_others: int) -> tuple[float, str | Verdict]:
        text = f"{passage} {differing(num_others, 1000)} {passage} {differing(3, 5000)}"
        return len(passage) / len(text), judge_text(text, "en", settings)

    found = [judged(count) for count in range(2, 120)]
    below, passed = next(each for each in found if each[0] <= most)
    assert below > most - 0.02
    assert isinstance(passed, str)
    above, verdict = next(each for each in reversed(found) if each[0] > most)
    assert verdict == rejected(f"duplicate_{n}_grams", f"{above:.4g} > {most:g}")


@given(st.lists(st.sampled_from(["oak", "ash", "elm", "a"]), max_size=60))
def test_n_grams_are_counted_as_their_strings_are(words: list[str]) -> None:
    found = {n: (numbers, lengths) for n, numbers, lengths in repeated_n_grams(words)}
    for n in range(2, 11):
        grams = [" ".join(words[k : k + n]) for k in range(len(words) - n + 1)]
        if n not in found:
            assert len(set(grams)) == len(grams)
            continue
        numbers, lengths = found[n]
        assert lengths.tolist() == [len(gram) for gram in grams]
        assert len(np.unique(numbers)) == len(set(grams)) == len(set(zip(numbers.tolist(), grams, strict=True)))
        assert count_duplicate_characters(numbers.tolist(), lengths.tolist(), n) == by_strings(words, n)


def by_strings(words: list[str], n: int) -> int:
    """What the paper's users count, word by word (datatrove, `find_all_duplicate`)."""
    seen, total, place = set(), 0, 0
    while place <= len(words) - n:
        gram = " ".join(words[place : place + n])
        total += len(gram) if gram in seen else 0
        place += n if gram in seen else 1
        seen.add(gram)
    return total


SENTENCE = "The old oak stands there."


@pytest.mark.parametrize(
    ("settings", "text", "expected"),
    [
        (PAPER, f"{SENTENCE}\n\n{SENTENCE}\n{SENTENCE}", f"{SENTENCE}\n\n{SENTENCE}\n{SENTENCE}"),
        (PAPER, f"{SENTENCE}\n{SENTENCE}", rejected("too_few_sentences", "2 < 3")),
        (COMMON, " ".join([SENTENCE] * 5), " ".join([SENTENCE] * 5)),
        (COMMON, " ".join([SENTENCE] * 4), rejected("too_few_sentences", "4 < 5")),
        (COMMON, " ".join([SENTENCE] * 4) + " And so on", " ".join([SENTENCE] * 4) + " And so on"),
    ],
)
def test_c4_asks_for_sentences(settings: RuleSettings, text: str, expected: str | Verdict) -> None:
    assert judge_text(text, "en", settings) == expected


@pytest.mark.parametrize(
    ("line", "paper", "common"),
    [
        ("Oak trees stand there.", "", "Oak trees stand there."),
        ("Oaks stand.", "", ""),
        ("- Oaks stand.", "", ""),
        ("Oaks | stand.", "", ""),
        ("- Oak trees stand there still.", "- Oak trees stand there still.", "- Oak trees stand there still."),
        ("The oak stands there still", "", "The oak stands there still"),
        ("The oak stands there still...", "", "The oak stands there still..."),
        ('He said "the oak stands"', 'He said "the oak stands"', 'He said "the oak stands"'),
        ("Please turn on JavaScript right now.", "", ""),
        ("We use cookies on this site.", "", ""),
        ("Read our terms of use here.", "", ""),
        (
            "The oak[12] is old.[edit] Very[citation needed] old.",
            "The oak is old. Very old.",
            "The oak is old. Very old.",
        ),
        (f"The word {'x' * 1000} is long.", f"The word {'x' * 1000} is long.", f"The word {'x' * 1000} is long."),
        (f"The word {'x' * 1001} is long.", "", ""),
        ("    the_code = is_indented + there.", "    the_code = is_indented + there.", None),
    ],
)
def test_c4_leaves_lines_out(line: str, paper: str, common: str | None) -> None:
    around = " ".join([SENTENCE] * 5)
    for settings, kept in ((PAPER, paper), (COMMON, common if common is not None else paper)):
        expected = f"{around}\n\n{kept}\n{around}" if kept else f"{around}\n\n{around}"
        assert judge_text(f"{around}\n\n{line}\n{around}", "en", settings) == expected


@pytest.mark.parametrize("words", ["lorem ipsum", "Lorem Ipsum dolor"])
def test_c4_rejects_filler(words: str) -> None:
    assert judge_text(f"{SENTENCE} {words}", "en", COMMON) == rejected("lorem_ipsum", "lorem ipsum")


def test_c4_rejects_code() -> None:
    assert judge_text(f"{SENTENCE * 5} if (oak) {{ grow(); }}", "en", COMMON) == rejected("curly_bracket", "{")


LONG, CLOSED = "the oak stands on the hill {} of the town", "the oak stands on the hill {} of the town."


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([CLOSED] * 13 + [LONG] * 87, None),
        ([CLOSED] * 12 + [LONG] * 88, rejected("few_punctuated_lines", "0.12 ≤ 0.12")),
        ([CLOSED] * 34 + ["Oak number {:25}"] * 66, None),
        ([CLOSED] * 33 + ["Oak number {:18}."] * 67, rejected("mostly_short_lines", "0.67 ≥ 0.67")),
        ([CLOSED] * 34 + ["An oak {:18}."] * 66, None),
        ([CLOSED] * 34 + ["Oak {}"] * 66, rejected("many_line_breaks", "0.2097 > 0.2")),
    ],
)
def test_fineweb_speaks_at_each_threshold(lines: list[str], expected: Verdict | None) -> None:
    text = "\n".join(line.format(n) for n, line in enumerate(lines))
    breaks = 0.2 if expected and expected.reason == "many_line_breaks" else 0.6
    settings = replace(NO_RULES, fineweb=FineWeb(line_break_ratio=breaks))
    assert judge_text(text, "en", settings) == (expected or text)


def test_fineweb_speaks_of_lines_that_come_again() -> None:
    lines = [CLOSED.format(n) for n in range(1000, 1098)]
    assert isinstance(judge_text("\n".join(lines), "en", FINEWEB), str)
    verdict = judge_text("\n".join([*lines, lines[0]]), "en", FINEWEB)
    assert verdict == rejected("duplicate_line_characters", "0.0101 ≥ 0.01")


def test_the_lenient_rules_reject_no_text_that_passes_the_strict_ones() -> None:
    strict = RuleSettings(c4=C4.common(), fineweb=FineWeb())
    texts = ["\n".join(numbered(count, distinct)) for count in (5, 20, 80) for distinct in (1, 3, 5, 20, 80)]
    for text in texts:
        if isinstance(judge_text(text, "en", strict), str):
            assert all(isinstance(judge_text(text, "en", rules), str) for rules in strict.lenient)
    assert strict.lenient[1].gopher_repetition == GopherRepetition(
        *(3 * most for most in (0.3, 0.2, 0.3, 0.2, 0.2, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.1))
    )


@pytest.mark.parametrize(
    ("text", "num_sentences"),
    [
        ("Home About us Trees", 0),
        ("An oak. An ash! An elm? A lime…", 4),
        ('He said: "An oak." (An ash.) «Un orme.» And so on...', 4),
        ("Version 1.2.3 of example.org", 0),
        ("橡树很老。它很高！", 2),
        ("One\ntwo.\nthree.", 2),
    ],
)
def test_sentences_are_counted_by_their_ends(text: str, num_sentences: int) -> None:
    assert count_sentence_ends(text.split("\n")) == num_sentences
    assert judge_text(text, "en", replace(NO_RULES, min_sentences=num_sentences)) == text
    verdict = judge_text(text, "en", replace(NO_RULES, min_sentences=num_sentences + 1))
    assert verdict == rejected("too_few_sentences", f"{num_sentences} < {num_sentences + 1}")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (GopherQuality, {"min_words": 10, "max_words": 9}, "min_words is 10 and max_words 9"),
        (GopherQuality, {"min_words": -1}, "min_words is -1"),
        (GopherQuality, {"min_alphabetic_word_fraction": 1.5}, "min_alphabetic_word_fraction is 1.5"),
        (GopherRepetition, {"duplicate_line_fraction": float("nan")}, "duplicate_line_fraction is nan"),
        (C4, {"max_word_length": 0}, "max_word_length is 1 or more"),
        (FineWeb, {"short_line_ratio": 2}, "short_line_ratio is 2"),
        (TextSettings, {"max_nodes": 0}, "max_nodes is 0"),
    ],
)
def test_impossible_settings_are_errors(kind: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**values)
