"""Words and bytes become ids and come back."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shards.tokenizer import (
    ByteTokenizer,
    TokenizerError,
    WordTokenizer,
    build_vocabulary,
    from_json,
    join_words,
    load_tokenizer,
    split_words,
)

TEXTS = st.text(st.characters(codec="utf-8"), max_size=200) | st.text("ab1.,'’-\"( )\n“”", max_size=60)

SPLITS = [
    ("", []),
    ("The old oak.", ["The", "old", "oak", "."]),
    ("don't wind-blown Étang", ["don't", "wind-blown", "Étang"]),
    ("3.14 1,200 3, 4", ["3.14", "1,200", "3", ",", "4"]),
    ("a\nb\n \nc \t d", ["a", "\n", "b", "\n\n", "c", "d"]),
    ("l’orme – “tall”", ["l’orme", "–", "“", "tall", "”"]),
    ("cafe\u0301", ["café"]),
    ("-a- '", ["-", "a", "-", "'"]),
]


@pytest.mark.parametrize(("text", "words"), SPLITS)
def test_texts_split_into_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "The old oak (a giant), he said, is 3.5 m round; isn't it?",
        '"Oak," she said, "is hard." \n\n"Elm" is not.'.replace(" \n", "\n"),
        "“L’orme” – 50% [sic]…\nnext line",
    ],
)
def test_ordinary_prose_comes_back_as_it_was(text: str) -> None:
    assert join_words(split_words(text)) == text


@given(TEXTS, st.booleans())
@example("\u2160\u0345", True)
def test_joined_words_split_into_the_same_words(text: str, lower_case: bool) -> None:
    words = split_words(text, lower_case)
    assert split_words(join_words(words)) == words


@given(TEXTS)
def test_known_words_make_a_round_trip_through_ids(text: str) -> None:
    words = split_words(text)
    tokenizer = WordTokenizer(build_vocabulary(Counter(words), max_words=10_000))
    ids = tokenizer.encode(text)
    assert ids.dtype == np.uint16
    assert [tokenizer.token(token_id) for token_id in ids.tolist()] == words
    assert tokenizer.decode(ids) == join_words(words)


@given(st.text(st.characters(codec="utf-8")))
def test_bytes_make_a_round_trip(text: str) -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_unknown_words_and_ends_are_written_as_such() -> None:
    tokenizer = WordTokenizer(("oak", "."))
    assert tokenizer.encode("the oak.").tolist() == [0, 2, 3]
    assert tokenizer.decode([0, 2, 3, 1]) == "<unk> oak. <eos>"
    assert ByteTokenizer().decode([111, 107, 256]) == "ok<eos>"
    assert (tokenizer.vocab_size, ByteTokenizer().vocab_size) == (4, 257)


def test_lower_case_is_part_of_the_tokenizer() -> None:
    tokenizer = WordTokenizer(("oak",), lower_case=True)
    assert tokenizer.encode("Oak OAK").tolist() == [2, 2]
    assert tokenizer.sha256() != WordTokenizer(("oak",)).sha256()


def test_vocabulary_keeps_the_commonest_and_breaks_ties_by_word() -> None:
    counts = {"oak": 2, "elm": 5, "ash": 2, "fir": 1, "yew": 1}
    assert build_vocabulary(counts, max_words=3) == ("elm", "ash", "oak")
    assert build_vocabulary(dict(reversed(counts.items())), max_words=10, min_count=2) == ("elm", "ash", "oak")


def test_ids_beyond_16_bits_take_32() -> None:
    assert WordTokenizer(tuple(map(str, range(2**16 - 2)))).dtype == "<u2"
    assert WordTokenizer(tuple(map(str, range(2**16 - 1)))).encode("65534").tolist() == [65536]


@pytest.mark.parametrize("tokenizer", [WordTokenizer(("oak", "été", "\n\n"), lower_case=True), ByteTokenizer()])
def test_tokenizer_makes_a_round_trip_through_its_file(
    tmp_path: Path, tokenizer: WordTokenizer | ByteTokenizer
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_json(), encoding="utf-8")
    assert load_tokenizer(path) == load_tokenizer(tmp_path) == tokenizer
    assert load_tokenizer(path).sha256() == tokenizer.sha256()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"kind": "bpe"}', '{"kind": "words", "lower_case": false, "words": [1]}']
)
def test_what_is_no_tokenizer_is_refused(text: str) -> None:
    with pytest.raises(TokenizerError):
        from_json(text)


def test_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"tokenizer\.json cannot be read"):
        load_tokenizer(tmp_path)
